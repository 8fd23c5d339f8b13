/*
 * What documents are refused for: rules and catalogues, member by member, each
 * with the code and the place of its first fault.
 */

#include "rule_lib.h"
#include "worker/rule/rule_int.h"


static ly_arena_t        *arena;
static rule_catalogue_t  *cat;

#define FIXED    "{'type':'fixed','wallet':'p','points':1}"
#define EFFECTS  "'effects':[" FIXED "]"
#define TRIGGER  "'trigger':{'event':'order.paid'}"
#define A32      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A64      A32 A32

/* code and pointer; "" both: taken */
typedef struct {
    const char  *json;
    const char  *code;
    const char  *pointer;
} refused_t;


static const refused_t  documents[] = {
    { "{" TRIGGER "," EFFECTS "}", "", "" },
    { "1", "value.type", "" },
    { "{'trigger':1," EFFECTS "}", "value.type", "/trigger" },
    { "{'trigger':{}," EFFECTS "}", "member.required", "/trigger" },
    { "{'trigger':{'event':1}," EFFECTS "}", "value.type", "/trigger/event" },
    { "{'trigger':{'event':''}," EFFECTS "}", "value.type", "/trigger/event" },
    { "{'trigger':{'event':'" A64 "'}," EFFECTS "}", "", "" },
    { "{'trigger':{'event':'a" A64 "'}," EFFECTS "}", "value.type",
      "/trigger/event" },
    { "{'trigger':{'event':'a_0.z9'}," EFFECTS "}", "", "" },
    { "{'trigger':{'event':'a`'}," EFFECTS "}", "value.type",
      "/trigger/event" },
    { "{'trigger':{'event':'a{'}," EFFECTS "}", "value.type",
      "/trigger/event" },
    { "{'trigger':{'event':'a/'}," EFFECTS "}", "value.type",
      "/trigger/event" },
    { "{'trigger':{'event':'a:'}," EFFECTS "}", "value.type",
      "/trigger/event" },
    { "{'trigger':{'event':'a','x':1}," EFFECTS "}", "member.unknown",
      "/trigger/x" },
    { "{'trigger':{'event':'a','sources':null}," EFFECTS "}", "", "" },
    { "{'trigger':{'event':'a','sources':'s'}," EFFECTS "}", "value.type",
      "/trigger/sources" },
    { "{'trigger':{'event':'a','sources':[]}," EFFECTS "}", "value.type",
      "/trigger/sources" },
    { "{'trigger':{'event':'a','sources':[1]}," EFFECTS "}", "value.type",
      "/trigger/sources/0" },

    { "{" TRIGGER "," EFFECTS ",'priority':1000000}", "", "" },
    { "{" TRIGGER "," EFFECTS ",'priority':-1000000}", "", "" },
    { "{" TRIGGER "," EFFECTS ",'priority':1000001}", "value.range",
      "/priority" },
    { "{" TRIGGER "," EFFECTS ",'priority':-1000001}", "value.range",
      "/priority" },
    { "{" TRIGGER "," EFFECTS ",'priority':'1'}", "value.type", "/priority" },
    { "{" TRIGGER "," EFFECTS ",'priority':null}", "", "" },
    { "{" TRIGGER "," EFFECTS ",'stacking':1}", "value.type", "/stacking" },
    { "{" TRIGGER "," EFFECTS ",'stacking':{}}", "", "" },
    { "{" TRIGGER "," EFFECTS ",'stacking':{'group':''}}", "value.type",
      "/stacking/group" },
    { "{" TRIGGER "," EFFECTS ",'stacking':{'mode':1}}", "value.type",
      "/stacking/mode" },
    { "{" TRIGGER "," EFFECTS ",'stacking':{'mode':''}}", "value.unknown",
      "/stacking/mode" },
    { "{" TRIGGER "," EFFECTS ",'schedule':[]}", "value.type", "/schedule" },
    { "{" TRIGGER "," EFFECTS ",'schedule':{'ends_at':1}}", "value.type",
      "/schedule/ends_at" },
    { "{" TRIGGER "," EFFECTS ",'schedule':{'starts_at':'2026-01-01T00:00:00Z'"
      ",'ends_at':'2026-01-01T00:00:00Z'}}", "value.range", "/schedule" },
    { "{" TRIGGER "," EFFECTS ",'schedule':{'starts_at':'2026-01-01T00:00:00Z'"
      ",'ends_at':'2026-01-01T00:00:01Z'}}", "", "" },
    { "{" TRIGGER "," EFFECTS ",'base':1}", "value.type", "/base" },
    { "{" TRIGGER "," EFFECTS ",'base':false}", "", "" },

    { "{" TRIGGER "," EFFECTS ",'limits':null}", "", "" },
    { "{" TRIGGER "," EFFECTS ",'limits':5}", "value.type", "/limits" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_event':0}}", "", "" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_event':-1}}", "value.range",
      "/limits/per_event" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_member':0.5}}", "value.type",
      "/limits/per_member" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_member':-1}}", "value.range",
      "/limits/per_member" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_period':null}}", "", "" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_period':1}}", "value.type",
      "/limits/per_period" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_period':{'points':1}}}",
      "member.required", "/limits/per_period" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_period':{'period':'day'}}}",
      "member.required", "/limits/per_period" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_period':{'points':-1,'period':"
      "'day'}}}", "value.range", "/limits/per_period/points" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_period':{'points':null,"
      "'period':'day'}}}", "value.type", "/limits/per_period/points" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_period':{'points':0,'period':"
      "'year'}}}", "", "" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_period':{'points':1,'period':"
      "''}}}", "value.unknown", "/limits/per_period/period" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_period':{'points':1,'period':"
      "'hour'}}}", "value.unknown", "/limits/per_period/period" },
    { "{" TRIGGER "," EFFECTS ",'limits':{'per_day':1}}", "member.unknown",
      "/limits/per_day" },
    { "{" TRIGGER "," EFFECTS ",'segments':{}}", "value.type", "/segments" },

    { "{" TRIGGER ",'effects':{}}", "value.type", "/effects" },
    { "{" TRIGGER ",'effects':[1]}", "value.type", "/effects/0" },
    { "{" TRIGGER ",'effects':[{}]}", "member.required", "/effects/0" },
    { "{" TRIGGER ",'effects':[{'type':1}]}", "value.type",
      "/effects/0/type" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','points':1}]}",
      "member.required", "/effects/0" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','wallet':'','points':1}]}",
      "value.type", "/effects/0/wallet" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','wallet':'p'}]}",
      "member.required", "/effects/0" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','wallet':'p','points':null}]}",
      "value.type", "/effects/0/points" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','wallet':'p','points':-1}]}",
      "value.range", "/effects/0/points" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','wallet':'p','points':1.5}]}",
      "value.type", "/effects/0/points" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','wallet':'p','points':1,"
      "'per':1}]}", "member.unknown", "/effects/0/per" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','wallet':'p','points':1,"
      "'rounding':1}]}", "value.type", "/effects/0/rounding" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','wallet':'p','points':1,"
      "'rounding':'trunc'}]}", "value.unknown", "/effects/0/rounding" },
    { "{" TRIGGER ",'effects':[{'type':'fixed','wallet':'p','points':1,"
      "'rounding':null}]}", "", "" },

#define RATE  "{" TRIGGER ",'effects':[{'type':'rate','wallet':'p',"

    { RATE "'points':1}]}", "member.required", "/effects/0" },
    { RATE "'points':1,'per':1}]}", "value.type", "/effects/0/per" },
    { RATE "'points':1,'per':{}}]}", "member.required", "/effects/0/per" },
    { RATE "'points':1,'per':{'amount':true}}]}", "value.type",
      "/effects/0/per/amount" },
    { RATE "'points':1,'per':{'amount':'x'}}]}", "value.type",
      "/effects/0/per/amount" },
    { RATE "'points':1,'per':{'amount':'1e2'}}]}", "value.type",
      "/effects/0/per/amount" },
    { RATE "'points':1,'per':{'amount':1e2}}]}", "", "" },
    { RATE "'points':1,'per':{'amount':-1}}]}", "value.range",
      "/effects/0/per/amount" },
    { RATE "'points':1,'per':{'amount':'0.0'}}]}", "value.range",
      "/effects/0/per" },
    { RATE "'points':1,'per':{'amount':1,'currency':'gbp'}}]}", "value.type",
      "/effects/0/per/currency" },
    { RATE "'points':1,'per':{'amount':1,'currency':'GB'}}]}", "value.type",
      "/effects/0/per/currency" },
    { RATE "'points':1,'per':{'amount':1,'x':1}}]}", "member.unknown",
      "/effects/0/per/x" },
    { RATE "'points':'0.0000001','per':{'amount':1}}]}", "value.range",
      "/effects/0/points" },
    { RATE "'points':'0.0000001','per':{'amount':1}}],'base':true}",
      "value.range", "/effects/0/points" },
    { "{" TRIGGER ",'effects':[{'type':'multiplier','wallet':'p','factor':"
      "1.0000001}]}", "value.range", "/effects/0/factor" },
    { "{" TRIGGER ",'effects':[{'type':'line_bonus','wallet':'p','points':1,"
      "'where':{'>':[{'%':[1.5,1]},1]}}]}", "const.error",
      "/effects/0/where" },
    { RATE "'points':'0.000001','per':{'amount':'0.0000001'}}]}", "", "" },
    { RATE "'points':1,'per':{'amount':1},'of':null,'where':true}]}", "", "" },
    { RATE "'points':1,'per':{'amount':1},'of':'order.total','where':true}]}",
      "member.unknown", "/effects/0/where" },
    { RATE "'points':1,'per':{'amount':1},'of':'order.none'}]}",
      "fact.unknown", "/effects/0/of" },
    { RATE "'points':1,'per':{'amount':1},'of':'event.type'}]}",
      "type.mismatch", "/effects/0/of" },
    { RATE "'points':1,'per':{'amount':1},'of':true}]}", "type.mismatch",
      "/effects/0/of" },
    { RATE "'points':1,'per':{'amount':1,'currency':'GBP'},'of':{'money':["
      "'1','EUR']}}]}", "currency.mismatch", "/effects/0/of" },
    { RATE "'points':1,'per':{'amount':1,'currency':'GBP'},'of':{'money':["
      "'1','GBP']}}]}", "", "" },
    { RATE "'points':1,'per':{'amount':1},'where':1}]}", "type.mismatch",
      "/effects/0/where" },
    { RATE "'points':1,'per':{'amount':1},'where':{'var':'nope'}}]}",
      "fact.unknown", "/effects/0/where" },

#define BONUS  "{" TRIGGER ",'effects':[{'type':'line_bonus','wallet':'p',"

    { BONUS "'points':1,'per':'unit'}]}", "", "" },
    { BONUS "'points':1,'per':null,'where':null}]}", "", "" },
    { BONUS "'points':1,'per':1}]}", "value.type", "/effects/0/per" },
    { BONUS "'points':1,'of':1}]}", "member.unknown", "/effects/0/of" },
    { BONUS "'points':'1.0000001'}]}", "value.range", "/effects/0/points" },

#define TABLE  "{" TRIGGER ",'effects':[{'type':'table','wallet':'p',"

    { TABLE "'of':'order.total'}]}", "member.required", "/effects/0" },
    { TABLE "'steps':1}]}", "value.type", "/effects/0/steps" },
    { TABLE "'steps':[]}]}", "value.type", "/effects/0/steps" },
    { TABLE "'steps':[1]}]}", "value.type", "/effects/0/steps/0" },
    { TABLE "'steps':[{'from':1}]}]}", "member.required",
      "/effects/0/steps/0" },
    { TABLE "'steps':[{'points':1}]}]}", "member.required",
      "/effects/0/steps/0" },
    { TABLE "'steps':[{'from':1,'points':-1}]}]}", "value.range",
      "/effects/0/steps/0/points" },
    { TABLE "'steps':[{'from':1,'points':null}]}]}", "value.type",
      "/effects/0/steps/0/points" },
    { TABLE "'steps':[{'from':1,'points':1,'x':1}]}]}", "member.unknown",
      "/effects/0/steps/0/x" },
    { TABLE "'steps':[{'from':1,'points':1},{'from':1,'points':1}]}]}",
      "value.range", "/effects/0/steps/1" },
    { TABLE "'steps':[{'from':'0.0000001','points':1}]}]}", "", "" },
    { TABLE "'steps':[{'from':0,'points':0},{'from':0.5,'points':1}]}]}", "",
      "" },
    { "{" TRIGGER ",'effects':[{'type':'multiplier','wallet':'p'}]}",
      "member.required", "/effects/0" },
    { "{" TRIGGER ",'effects':[{'type':'multiplier','wallet':'p','factor':"
      "0.999999}]}", "value.range", "/effects/0/factor" },
    { "{" TRIGGER ",'effects':[{'type':'multiplier','wallet':'p',"
      "'factor':1}]}", "", "" },
    { "{'trigger':{'event':'order.refunded'},'effects':[{'type':'rate',"
      "'wallet':'p','points':1,'per':{'amount':1}},{'type':'line_bonus',"
      "'wallet':'p','points':1,'where':{'>':[{'var':'total'},1]}}]}", "", "" },
    { RATE "'points':1,'per':{'amount':1},'where':true}],'base':true}",
      "base.rate", "/effects" },
    { RATE "'points':1,'per':{'amount':1}}],'base':true}", "", "" },
    { "{" TRIGGER ",'effects':[" FIXED ",{'type':'line_bonus','wallet':'p',"
      "'points':1,'where':{'>':[{'%':[1.5,1]},1]}}]}", "const.error",
      "/effects/1/where" },
};


/* the same of conditions */
static const refused_t  conditions[] = {
    { "{'var':['a.b',1,2]}", "op.arity", "" },
    { "{'var':[]}", "op.arity", "" },
    { "{'var':1}", "type.mismatch", "" },
    { "{'var':null}", "null.refused", "" },
    { "{'var':[5,1]}", "type.mismatch", "" },
    { "{'var':['order.total',1,2]}", "op.arity", "" },
    { "{'var':['order.total',[1]]}", "type.mismatch", "/var/1" },
    { "{'>':[{'var':['order.total',{'+':[1,2]}]},1]}", "type.mismatch",
      "/>/0/var/1" },
    { "{'===':[{'var':['order.lines',1]},1]}", "type.mismatch",
      "/===/0/var/1" },
    { "{'===':[{'var':['member.segments','x']},'a']}", "type.mismatch",
      "/===/0/var/1" },
    { "{'===':[{'var':['order.total',true]},1]}", "type.mismatch",
      "/===/0/var/1" },
    { "{'>':[{'var':['order.line_count',1.5]},1]}", "", "" },
    { "{'===':[{'var':['member.tier',null]},'a']}", "null.refused",
      "/===/0/var/1" },
    { "{'has':[1]}", "type.mismatch", "/has/0" },
    { "{'has':['nope.x']}", "fact.unknown", "/has/0" },
    { "{'has':[{'var':'a'}]}", "type.mismatch", "/has/0" },
    { "{'missing':[['a']]}", "type.mismatch", "/missing/0" },
    { "{'and':[1]}", "type.mismatch", "/and/0" },
    { "{'or':[true,'x']}", "type.mismatch", "/or/1" },
    { "{'!':[{'var':'member.tier'}]}", "type.mismatch", "/!/0" },
    { "{'!!':[true,false]}", "op.unknown", "" },
    { "{'if':[1,true,false]}", "type.mismatch", "/if/0" },
    { "{'if':[true,true,'a']}", "type.mismatch", "/if/2" },
    { "{'if':[true,{'var':'order.lines'},{'var':'order.lines'}]}",
      "type.mismatch", "/if/1" },
    { "{'===':[{'if':[true,{'var':'order.lines'},{'var':'order.lines'}]},1]}",
      "type.mismatch", "/===/0/if/1" },
    { "{'>':[{'if':[true,{'var':'order.line_count'},{'var':'order.quantity'}]"
      "},1]}", "", "" },
    { "{'===':[1,'x']}", "type.mismatch", "/===/1" },
    { "{'===':[true,'x']}", "type.mismatch", "/===/1" },
    { "{'===':[{'has':['member.tier']},'x']}", "type.mismatch", "/===/1" },
    { "{'===':[true,'true']}", "", "" },
    { "{'===':['false',{'has':['member.tier']}]}", "", "" },
    { "{'===':[true,1]}", "type.mismatch", "/===/1" },
    { "{'<':[true,true,true]}", "type.mismatch", "/</0" },
    { "{'between':[true,false,true]}", "type.mismatch", "/between/0" },
    { "{'between':[1,2]}", "op.arity", "" },
    { "{'===':[{'var':'member.segments'},{'var':'member.segments'}]}",
      "type.mismatch", "/===/0" },
    { "{'===':[['a'],['a']]}", "type.mismatch", "/===/0" },
    { "{'<':[1,2,3,4]}", "op.arity", "" },
    { "{'>':[1,2,3]}", "op.arity", "" },
    { "{'in':[{'var':'order.lines'},['a']]}", "type.mismatch", "/in/0" },
    { "{'in':[1,['a']]}", "type.mismatch", "/in/1/0" },
    { "{'in':[1,[true]]}", "type.mismatch", "/in/1/0" },
    { "{'in':['a',1]}", "type.mismatch", "/in/1" },
    { "{'in':['a',{'var':'order.total'}]}", "type.mismatch", "/in/1" },
    { "{'in':['a',{'var':'order.lines'}]}", "type.mismatch", "/in/1" },
    { "{'in':[1,{'var':'member.segments'}]}", "type.mismatch", "/in/0" },
    { "{'in':[{'var':'nope.x'},['a']]}", "fact.unknown", "/in/0" },
    { "{'in':['a',{'var':'nope.x'}]}", "fact.unknown", "/in/1" },
    { "{'in':['a','abc']}", "", "" },
    { "{'in':[1,'abc']}", "type.mismatch", "/in/0" },
    { "{'>':[{'+':['a',1]},1]}", "type.mismatch", "/>/0/+/0" },
    { "{'>':[{'+':[{'var':'member.tier'},1]},1]}", "type.mismatch",
      "/>/0/+/0" },
    { "{'>':[{'-':[1,2,3]},1]}", "op.arity", "/>/0" },
    { "{'>':[{'*':[{'var':'order.total'},{'var':'order.total'}]},1]}",
      "type.mismatch", "/>/0/*/1" },
    { "{'>':[{'*':[{'var':'order.quantity'},{'var':'order.total'}]},1]}",
      "type.mismatch", "/>/0/*/1" },
    { "{'>':[{'/':[1,2,1.5,'floor']},1]}", "value.range", "/>/0/~1/2" },
    { "{'>':[{'/':[1,2,-1,'floor']},1]}", "value.range", "/>/0/~1/2" },
    { "{'>':[{'/':[1,2,12,'floor']},1]}", "", "" },
    { "{'>':[{'/':[1,2,{'+':[1,1]},'floor']},1]}", "type.mismatch",
      "/>/0/~1/2" },
    { "{'>':[{'/':[1,2,1,2]},1]}", "type.mismatch", "/>/0/~1/3" },
    { "{'>':[{'/':[1,{'var':'order.total'},1,'floor']},1]}", "", "" },
    { "{'>':[{'/':[{'var':'order.quantity'},{'var':'order.total'},1,'floor']}"
      ",1]}", "type.mismatch", "/>/0/~1/1" },
    { "{'>':[{'%':[1.5,1]},1]}", "const.error", "" },
    { "{'>':[{'%':[{'var':'order.total'},1]},1]}", "type.mismatch",
      "/>/0/%/0" },
    { "{'>':[{'round':[1.5,0,'up']},1]}", "value.unknown",
      "/>/0/round/2" },
    { "{'>':[{'money':[1,2]},1]}", "type.mismatch", "/>/0/money/1" },
    { "{'>':[{'money':['x','GBP']},1]}", "literal.invalid",
      "/>/0/money/0" },
    { "{'>':[{'money':[true,'GBP']},1]}", "type.mismatch",
      "/>/0/money/0" },
    { "{'contains':[1,'a']}", "type.mismatch", "/contains/0" },
    { "{'contains':['a',{'var':'order.total'}]}", "type.mismatch",
      "/contains/1" },
    { "{'===':[{'length':[1]},1]}", "type.mismatch", "/===/0/length/0" },
    { "{'some':['a',true]}", "type.mismatch", "/some/0" },
    { "{'some':[{'var':'order.lines'},1]}", "type.mismatch", "/some/1" },
    { "{'some':[[1,2],{'>':[{'var':''},1]}]}", "", "" },
    { "{'some':[[1,true],{'>':[{'var':''},1]}]}", "type.mismatch",
      "/some/0/0" },
    { "{'some':[[],true]}", "", "" },
    { "{'>':[{'sum':[[1,2],{'var':''}]},1]}", "type.mismatch",
      "/>/0/sum/0" },
    { "{'>':[{'sum':[{'var':'order.lines'},{'var':'sku'}]},1]}",
      "type.mismatch", "/>/0/sum/1" },
    { "{'>':[{'distinct_count':[{'var':'order.lines'},{'var':'categories'}]}"
      ",1]}", "type.mismatch", "/>/0/distinct_count/1" },
    { "{'>':[{'max_by':[{'var':'order.lines'},{'>':[1,2]}]},1]}",
      "type.mismatch", "/>/0/max_by/1" },
    { "{'>':[{'max_by':[{'var':'order.lines'},{'var':'total'},{'var':"
      "'categories'}]},1]}", "type.mismatch", "/>/0/max_by/2" },
    { "{'===':[{'max_by':[{'var':'order.lines'},{'var':'total'},{'>':[1,2]}]}"
      ",true]}", "", "" },
    { "{'===':[{'filter':[{'var':'order.lines'},true]},1]}",
      "type.mismatch", "/===/0" },
    { "{'some':[{'var':'order.lines'},{'===':[{'var':''},1]}]}",
      "type.mismatch", "/some/1/===/0" },
    { "{'===':[{'hour':['2026-01-01']},1]}", "literal.invalid",
      "/===/0/hour/0" },
    { "{'===':[{'hour':[1]},1]}", "type.mismatch", "/===/0/hour/0" },
    { "{'===':[{'hour':[{'var':'member.birthday'}]},1]}", "type.mismatch",
      "/===/0/hour/0" },
    { "{'===':[{'day':[{'var':'member.tier'}]},1]}", "type.mismatch",
      "/===/0/day/0" },
    { "{'===':[{'day':['2026-02-30']},1]}", "literal.invalid",
      "/===/0/day/0" },
    { "{'===':[{'day':['2026-02-28']},28]}", "", "" },
    { "{'birthday':[{'var':'now'},{'var':'now'}]}", "type.mismatch",
      "/birthday/0" },
    { "{'===':[{'days_between':['2026-01-01',{'var':'now'}]},1]}", "", "" },
    { "{'===':[{'days_between':['2026-01-01',{'var':'member.tier'}]},1]}",
      "type.mismatch", "/===/0/days_between/1" },
    { "{'===':[{'plus':[{'var':'now'},1]},{'var':'now'}]}", "type.mismatch",
      "/===/0/plus/1" },
    { "{'===':[{'plus':[{'var':'now'},{'var':'member.tier'}]},{'var':'now'}]}",
      "type.mismatch", "/===/0/plus/1" },
    { "{'tier':[1]}", "type.mismatch", "/tier/0" },
    { "{'tier':[]}", "op.arity", "" },
    { "{'segment':[{'var':'a'}]}", "type.mismatch", "/segment/0" },
    { "{'>':[{'count_in_window':['','P1D']},1]}", "literal.invalid",
      "/>/0/count_in_window/0" },
    { "{'>':[{'count_in_window':['" A64 "','P1D']},1]}", "", "" },
    { "{'>':[{'count_in_window':['a" A64 "','P1D']},1]}", "literal.invalid",
      "/>/0/count_in_window/0" },
    { "{'>':[{'count_in_window':[1,'P1D']},1]}", "type.mismatch",
      "/>/0/count_in_window/0" },
    { "{'>':[{'count_in_window':['a','P0D']},1]}", "literal.invalid",
      "/>/0/count_in_window/1" },
    { "{'>':[{'count_in_window':['a','P3661D']},1]}", "literal.invalid",
      "/>/0/count_in_window/1" },
    { "{'>':[{'count_in_window':['a','P3660D']},1]}", "", "" },
    { "{'>':[{'count_in_window':['a','P3660DT1S']},1]}", "literal.invalid",
      "/>/0/count_in_window/1" },
    { "{'>':[{'count_in_window':['a','PT1S']},1]}", "", "" },
    { "{'>':[{'sum_in_window':['a','nope.x','P1D']},1]}", "fact.unknown",
      "/>/0/sum_in_window/1" },
    { "{'>':[{'sum_in_window':['a','balance.held','P1D']},1]}",
      "fact.unknown", "/>/0/sum_in_window/1" },
    { "{'>':[{'sum_in_window':['a','order.line_count','P1D']},1]}", "", "" },
    { "{'>':[{'sum_in_window':['a','order.quantity','P1D']},1]}", "", "" },
    { "{'>':[{'sum_in_window':['a','now','P1D']},1]}", "type.mismatch",
      "/>/0/sum_in_window/1" },

    { "{'===':[null,{'var':'member.tier'}]}", "null.refused", "/===/0" },
    { "{'!=':[null,{'var':'member.tier'}]}", "", "" },
    { "{'===':[null,null]}", "null.refused", "/===/0" },
    { "{'==':[{'var':['member.tier']},null]}", "", "" },
    { "{'==':[{'var':['member.tier','x']},null]}", "null.refused", "/==/1" },
    { "{'==':[{'var':1},null]}", "type.mismatch", "/==/0" },
    { "{'==':[{'var':'nope.x'},null]}", "fact.unknown", "/==/0" },
    { "{'<':[{'var':'member.tier'},null]}", "null.refused", "/</1" },
    { "{'==':[null]}", "op.arity", "" },
    { "{'==':null}", "op.arity", "" },

#define REDUCE(a, b, c)                                                       \
    "{'>':[{'reduce':[" a "," b "," c "]},1]}"
#define LINES  "{'filter':[{'var':'order.lines'},true]}"

    { REDUCE(LINES, "{'+':[1,{'var':'accumulator'}]}", "0"), "", "" },
    { REDUCE(LINES, "{'+':[{'var':'accumulator'},1]}", "0"), "", "" },
    { REDUCE(LINES, "{'+':[2,{'var':'accumulator'}]}", "0"), "op.unknown",
      "/>/0" },
    { REDUCE(LINES, "{'+':[1,{'var':'current'}]}", "0"), "op.unknown",
      "/>/0" },
    { REDUCE(LINES, "{'+':[1,1]}", "0"), "op.unknown", "/>/0" },
    { REDUCE(LINES, "{'+':['x',{'var':'accumulator'}]}", "0"), "op.unknown",
      "/>/0" },
    { REDUCE(LINES, "{'-':[1,{'var':'accumulator'}]}", "0"), "op.unknown",
      "/>/0" },
    { REDUCE(LINES, "{'+':[1,{'var':'accumulator'}]}", "1"), "op.unknown",
      "/>/0" },
    { REDUCE(LINES, "{'+':[1,{'var':'accumulator'}]}", "'0'"), "op.unknown",
      "/>/0" },
    { REDUCE("{'filter':[{'var':'order.lines'}]}",
             "{'+':[1,{'var':'accumulator'}]}", "0"), "op.unknown", "/>/0" },
    { REDUCE("1", "{'+':[1,{'var':'accumulator'}]}", "0"), "op.unknown",
      "/>/0" },
    { "{'>':[{'reduce':[" LINES "]},1]}", "op.unknown", "/>/0" },
    { "{'>':[{'reduce':1},1]}", "op.unknown", "/>/0" },
    { "{'!':{'!':{'!':true}}}", "", "" },
    { "{'or':[]}", "", "" },
    { "{'or':{}}", "op.shape", "/or" },
    { "{'!==':[1,99999999999999999999999999999999999999]}", "", "" },
    { "{'!==':[1,100000000000000000000000000000000000000]}",
      "literal.invalid", "/!==/1" },
    { "{'in':[1,[1,1e999]]}", "literal.invalid", "/in/1/1" },
    { "{'in':[1,[{'+':[1,2]}]]}", "", "" },
    { "{'in':[1,[{'+':[1,2]},[1]]]}", "type.mismatch", "/in/1/1" },
    { "{'in':[{'var':'nope.x'},[{'+':[1,2]}]]}", "fact.unknown", "/in/0" },
    { "{'in':[{'nope':1},[{'var':'member.tier'}]]}", "op.unknown", "/in/0" },
    { "{'in':['a',[{'nope':1}]]}", "op.unknown", "/in/1/0" },
    { "{'in':['a',[null,{'var':'member.tier'}]]}", "null.refused",
      "/in/1/0" },
    { "{'in':'a'}", "op.arity", "" },
    { "{'in':['a',['b'],['c']]}", "op.arity", "" },
    { "{'if':[true,true,true,true]}", "op.arity", "" },
    { "{'==':[{'+':[1,1],'-':[1]},null]}", "op.shape", "/==/0" },
    { "{'==':['a',null]}", "null.refused", "/==/1" },
    { "{'===':[{'var':''},'x']}", "fact.unknown", "/===/0" },
    { "{'===':[{'var':'line_id'},'x']}", "fact.unknown", "/===/0" },
    { "{'==':[{'has':['member.tier']},null]}", "null.refused", "/==/1" },

    /* what is quoted is not looked into */
    { "{'has':[{'nope':1}]}", "type.mismatch", "/has/0" },
    { "{'has':[[null]]}", "type.mismatch", "/has/0" },
    { "{'missing':[{'nope':1}]}", "type.mismatch", "/missing/0" },
    { "{'missing':[[null]]}", "type.mismatch", "/missing/0" },
    { "{'>':[{'money':[{'nope':1},'GBP']},1]}", "type.mismatch",
      "/>/0/money/0" },
    { "{'>':[{'money':[1,[null]]},1]}", "type.mismatch", "/>/0/money/1" },
    { "{'tier':[{'nope':1}]}", "type.mismatch", "/tier/0" },
    { "{'segment':[[null]]}", "type.mismatch", "/segment/0" },
    { "{'segment':[{'nope':1}]}", "type.mismatch", "/segment/0" },
    { "{'achievement':[{'nope':1}]}", "type.mismatch", "/achievement/0" },
    { "{'>':[{'count_in_window':[{'nope':1},'P1D']},1]}", "type.mismatch",
      "/>/0/count_in_window/0" },
    { "{'>':[{'sum_in_window':['a',{'nope':1},'P1D']},1]}", "type.mismatch",
      "/>/0/sum_in_window/1" },

    { "{'==':[{'var':'member.tier','x':1},null]}", "op.shape", "/==/0" },
    { "{'==':[{'var':{'a':'member.tier'}},null]}", "type.mismatch", "/==/0" },
    { "{'==':[['member.tier'],null]}", "null.refused", "/==/1" },
    { "{'==':{'a':{'var':'member.tier'},'b':null}}", "op.arity", "" },
    { REDUCE("{'filter':[{'var':'order.lines'},true],'x':1}",
             "{'+':[1,{'var':'accumulator'}]}", "0"), "op.unknown", "/>/0" },
    { REDUCE("{'filter':{'a':{'var':'order.lines'},'b':true}}",
             "{'+':[1,{'var':'accumulator'}]}", "0"), "op.unknown", "/>/0" },
    { REDUCE(LINES, "{'+':[1,{'var':'accumulator'}],'x':1}", "0"),
      "op.unknown", "/>/0" },
    { REDUCE(LINES, "{'+':{'a':1,'b':{'var':'accumulator'}}}", "0"),
      "op.unknown", "/>/0" },
    { REDUCE(LINES, "[1,{'var':'accumulator'}]", "0"), "op.unknown", "/>/0" },
    { "{'>':[{'reduce':{'a':" LINES ",'b':{'+':[1,{'var':'accumulator'}]},"
      "'c':0}},1]}", "op.unknown", "/>/0" },
    { "{'===':['a',[{'var':'member.tier'}]]}", "type.mismatch", "/===/1/0" },
    { "{'in':{'a':'x','b':[{'var':'member.tier'}]}}", "op.arity", "" },
    { "{'in':['a',[{'var':'member.tier'}],1]}", "op.arity", "" },
    { "{'in':['a']}", "op.arity", "" },
    { "{'in':[]}", "op.arity", "" },
    { "{'in':['a',{'!':{'var':'member.tier'}}]}", "type.mismatch",
      "/in/1/!" },

    { "{'in':['a',{'if':[true,{'var':'member.segments'},{'var':"
      "'member.segments'}]}]}", "type.mismatch", "/in/1/if/1" },
    { "{'some':[[1],{'>':[{'var':''},1]}]}", "", "" },
    { "{'>':[{'sum_in_window':['a','event.type','P1D']},1]}",
      "type.mismatch", "/>/0/sum_in_window/1" },
    { "{'>':[{'count_in_window':['a','P1M1D']},1]}", "literal.invalid",
      "/>/0/count_in_window/1" },
    { "{'>':[{'count_in_window':['a','P1D1']},1]}", "literal.invalid",
      "/>/0/count_in_window/1" },
};


/* the one fault of a condition: what is bad is not compared as well */
static const refused_t  alone[] = {
    { "{'===':[{'money':['x','GBP']},'y']}", "literal.invalid",
      "/===/0/money/0" },
    { "{'===':[{'money':['1','gbp']},'y']}", "literal.invalid",
      "/===/0/money/1" },
    { "{'===':[{'money':['x','GBP']},{'money':['1','EUR']}]}",
      "literal.invalid", "/===/0/money/0" },
    { "{'===':[{'distinct_count':[1,{'var':'sku'}]},'x']}", "type.mismatch",
      "/===/0/distinct_count/0" },
    { "{'in':[{'var':'nope.x'},1]}", "fact.unknown", "/in/0" },
    { "{'in':[1,{'var':'nope.x'}]}", "fact.unknown", "/in/1" },
    { "{'===':[{'var':'nope.x'},1]}", "fact.unknown", "/===/0" },
    { "{'===':[1,{'var':'nope.x'}]}", "fact.unknown", "/===/1" },
    { "{'===':[{'if':[true,{'var':'nope.x'},{'var':'order.total'}]},1]}",
      "fact.unknown", "/===/0/if/1" },
    { "{'>':[{'count_in_window':[1,'P1D']},1]}", "type.mismatch",
      "/>/0/count_in_window/0" },
    { "{'>':[{'sum_in_window':['a',1,'P1D']},1]}", "type.mismatch",
      "/>/0/sum_in_window/1" }
};


static void
say(const char *what, const rule_faults_t *f)
{
    size_t  i;

    printf("# %s\n", what);

    for (i = 0; i < f->n; i++) {
        printf("#   %s at %.*s: %.*s\n", f->fault[i].code,
               (int) f->fault[i].pointer.len,
               (const char *) f->fault[i].pointer.data,
               (int) f->fault[i].expected.len,
               (const char *) f->fault[i].expected.data);
    }
}


static bool
first_is(const rule_faults_t *f, const refused_t *want, const char *prefix)
{
    size_t    n;
    ly_str_t  p;

    n = strlen(prefix);

    if (f->n == 0 || strcmp(f->fault[0].code, want->code) != 0) {
        return false;
    }

    p = f->fault[0].pointer;

    return p.len >= n && (n == 0 || memcmp(p.data, prefix, n) == 0)
           && ly_str_eq(ly_str_of(p.data + n, p.len - n),
                        ly_str_c(want->pointer));
}


static void
documents_and_conditions(void)
{
    bool             good;
    size_t           i, n;
    ly_err_t         err;
    ly_str_t         json;
    ly_arena_t      *a;
    rule_faults_t    f;
    const char      *prefix;
    rule_program_t  *p;
    const refused_t *r;

    a = ly_arena_create((size_t) 16 << 20, NULL);
    n = ly_countof(documents) + ly_countof(conditions);

    for (i = 0; i < ly_countof(alone); i++) {
        ly_arena_reset(a);
        json = rl_condition(a, rl_quoted(a, alone[i].json));
        err = rule_compile(a, json, cat, 0, &p, &f);
        ok(err == LY_PARSE && f.n == 1
           && first_is(&f, &alone[i], "/condition"), "%s is all of %s",
           alone[i].code, alone[i].json);
    }

    for (i = 0; i < n; i++) {
        ly_arena_reset(a);
        r = i < ly_countof(documents)
            ? &documents[i] : &conditions[i - ly_countof(documents)];
        json = rl_quoted(a, r->json);
        prefix = "";

        if (i >= ly_countof(documents)) {
            json = rl_condition(a, json);
            prefix = "/condition";
        }

        err = rule_compile(a, json, cat, 0, &p, &f);
        good = *r->code == '\0' ? err == LY_OK
                                : err == LY_PARSE && first_is(&f, r, prefix);
        ok(good, "%s %s", r->json, r->code);

        if (!good) {
            say(r->code, &f);
        }
    }

    ly_arena_destroy(a);
}


/* --- bounds --- */

static ly_str_t
repeated(const char *head, const char *one, size_t n, const char *tail)
{
    size_t    i;
    ly_buf_t  b;

    ly_buf_init_arena(&b, arena, (size_t) 1 << 20);
    ly_buf_cstr(&b, head);

    for (i = 0; i < n; i++) {
        if (i > 0) {
            ly_buf_byte(&b, ',');
        }

        ly_buf_cstr(&b, one);
    }

    ly_buf_cstr(&b, tail);
    ly_buf_byte(&b, '\0');

    return rl_quoted(arena, (const char *) b.data);
}


static void
bound(const char *name, ly_str_t json, const char *code)
{
    bool             good;
    ly_err_t         err;
    ly_arena_t      *a;
    rule_faults_t    f;
    rule_program_t  *p;

    a = ly_arena_create((size_t) 32 << 20, NULL);
    err = rule_compile(a, json, cat, 0, &p, &f);
    good = *code == '\0' ? err == LY_OK
                         : err == (strncmp(code, "bound.", 6) == 0 ? LY_LIMIT
                                                                   : LY_PARSE)
           && f.n > 0 && strcmp(f.fault[0].code, code) == 0;
    ok(good, "%s", name);

    if (!good) {
        say(code, &f);
    }

    ly_arena_destroy(a);
}


#define WHOLE  "{" TRIGGER "," EFFECTS ","

/* a condition within n operators, such as head and tail have it */
static ly_str_t
deep(const char *head, const char *operator, size_t n, const char *condition,
    const char *tail)
{
    size_t    i;
    ly_buf_t  b;

    ly_buf_init_arena(&b, arena, 1 << 16);
    ly_buf_cstr(&b, head);

    for (i = 0; i < n; i++) {
        ly_buf_cstr(&b, operator);
    }

    ly_buf_cstr(&b, condition);

    for (i = 0; i < n; i++) {
        ly_buf_byte(&b, '}');
    }

    ly_buf_cstr(&b, tail);
    ly_buf_byte(&b, '\0');

    return rl_quoted(arena, (const char *) b.data);
}


#define CURRENCY    "{'var':'order.currency'}"
#define WITHIN      WHOLE "'condition':"
#define TIER_IN(x)  "{'in':[{'var':'member.tier'},[" x "," CURRENCY "]]}"
#define IF_AB       "{'if':[true,'a','b']}"

static void
bounds(void)
{
    char      text[4200];
    size_t    i, said;
    ly_str_t  json;
    ly_buf_t  b;

    rule_faults_t    f;
    rule_program_t  *p;

    bound("100 sources", repeated("{'trigger':{'event':'a','sources':[", "'s'",
                                  100, "]}," EFFECTS "}"), "");
    bound("101 sources", repeated("{'trigger':{'event':'a','sources':[", "'s'",
                                  101, "]}," EFFECTS "}"), "value.type");
    bound("16 effects", repeated("{" TRIGGER ",'effects':[", FIXED, 16, "]}"),
          "");
    bound("17 effects", repeated("{" TRIGGER ",'effects':[", FIXED, 17, "]}"),
          "value.type");
    bound("101 steps", repeated(TABLE "'steps':[", "{'from':1,'points':1}",
                                101, "]}]}"), "value.type");
    bound("1000 literals", repeated(WHOLE "'condition':{'in':[1,[", "1", 1000,
                                    "]]}}"), "");
    bound("1001 literals", repeated(WHOLE "'condition':{'in':[1,[", "1", 1001,
                                    "]]}}"), "bound.list");
    bound("512 nodes", repeated(WHOLE "'condition':{'and':[", "true", 511,
                                "]}}"), "");
    bound("513 nodes", repeated(WHOLE "'condition':{'and':[", "true", 512,
                                "]}}"), "bound.nodes");
    bound("nodes within lists are none",
          repeated(WHOLE "'condition':{'and':[",
                   "{'in':[1,[1,2,3,4,5,6,7,8]]}",
                   170, "]}}"), "");
    bound("31 operators deep",
          repeated(WHOLE "'condition':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':"
                   "{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!"
                   "':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':",
                   "true", 1, "}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}"), "");
    bound("32 operators deep",
          repeated(WHOLE "'condition':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':"
                   "{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!"
                   "':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':{'!':",
                   "{'!':true}", 1, "}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}"),
          "bound.depth");
    bound("1000 tiers", repeated(WHOLE "'condition':{'tier':[", "'a'", 500,
                                 "]}}"), "");

    memset(text, 'a', sizeof(text));
    text[4096] = '\0';
    ly_buf_init_arena(&b, arena, 1 << 16);
    ly_buf_cstr(&b, WHOLE "'condition':{'===':['");
    ly_buf_cstr(&b, text);
    ly_buf_cstr(&b, "','");
    json = ly_buf_view(&b);
    ly_buf_cstr(&b, "x']}}");
    ly_buf_byte(&b, '\0');
    bound("4096 bytes of text", rl_quoted(arena, (const char *) b.data), "");
    b.len = json.len - 3;
    ly_buf_cstr(&b, "a','x']}}");
    ly_buf_byte(&b, '\0');
    bound("4097 bytes of text", rl_quoted(arena, (const char *) b.data),
          "bound.text");

    bound("an in of fields, 32 deep",
          deep(WITHIN, "{'!':", 29, TIER_IN("'a'"), "}"), "");
    bound("33 deep",
          deep(WITHIN, "{'!':", 30, TIER_IN("'a'"), "}"), "bound.depth");
    bound("with an if, 32 deep",
          deep(WITHIN, "{'!':", 28, TIER_IN(IF_AB), "}"), "");
    bound("with an if, 33 deep",
          deep(WITHIN, "{'!':", 29, TIER_IN(IF_AB), "}"), "bound.depth");

    bound("twice no, 32 deep", deep(WITHIN, "{'!!':", 31, "true", "}"), "");
    bound("twice no, 33 deep", deep(WITHIN, "{'!!':", 32, "true", "}"),
          "bound.depth");
    bound("a where, 32 deep",
          deep(BONUS "'points':1,'where':", "{'!':", 31, "true", "}]}"), "");
    bound("a where, 33 deep",
          deep(BONUS "'points':1,'where':", "{'!':", 32, "true", "}]}"),
          "bound.depth");
    bound("an amount, 32 deep",
          deep(TABLE "'steps':[{'from':1,'points':1}],'of':", "{'-':", 31,
               "{'var':'order.line_count'}", "}]}"), "");
    bound("an amount, 33 deep",
          deep(TABLE "'steps':[{'from':1,'points':1}],'of':", "{'-':", 32,
               "{'var':'order.line_count'}", "}]}"), "bound.depth");

    json = repeated(WHOLE "'condition':{'and':[", "{'!':true}", 300, "]}}");
    ok(rule_compile(arena, json, cat, 0, &p, &f) == LY_LIMIT && f.n == 1,
       "too many nodes are told once");

    /* a text as long as may be names no event, and has room nevertheless */
    text[4096] = '\0';
    ly_buf_init_arena(&b, arena, 1 << 16);
    ly_buf_cstr(&b, WHOLE "'condition':{'>':[{'count_in_window':['");
    ly_buf_cstr(&b, text);
    ly_buf_cstr(&b, "','P1D']},1]}}");
    ly_buf_byte(&b, '\0');
    bound("an event of 4096 bytes", rl_quoted(arena, (const char *) b.data),
          "literal.invalid");

    /* 64 counters; the same one twice is one */
    for (said = 64; said <= 65; said++) {
        ly_buf_init_arena(&b, arena, 1 << 16);
        ly_buf_cstr(&b, WHOLE "'condition':{'and':[");

        for (i = 0; i < said + 10; i++) {
            ly_buf_cstr(&b, i > 0 ? "," : "");
            ly_buf_cstr(&b, "{'>':[{'count_in_window':['a','P");
            ly_buf_uint(&b, 1 + i % said);
            ly_buf_cstr(&b, "D']},1]}");
        }

        ly_buf_cstr(&b, "]}}");
        ly_buf_byte(&b, '\0');
        bound("64 counters", rl_quoted(arena, (const char *) b.data),
              said == 64 ? "" : "bound.list");
    }

    /* a hundred faults are told, the others counted */
    json = repeated(WHOLE "'condition':{'and':[", "{'var':'nope.x'}", 150,
                    "]}}");
    ok(rule_compile(arena, json, cat, 0, &p, &f) == LY_PARSE
       && f.n == RULE_FAULTS_MAX && f.more == 50, "150 faults");

    /* what is found is cut between characters */
    ly_buf_init_arena(&b, arena, 1 << 16);
    ly_buf_cstr(&b, WHOLE "'a");

    for (i = 0; i < 60; i++) {
        ly_buf_cstr(&b, "\xc3\xa9");
    }

    ly_buf_cstr(&b, "':1}");
    ly_buf_byte(&b, '\0');
    ok(rule_compile(arena, rl_quoted(arena, (const char *) b.data), cat, 0,
                    &p, &f) == LY_PARSE && f.n == 1
       && f.fault[0].found.len == 79, "80 bytes found at most");
}


/* --- catalogues --- */

#define CAT(facts)   "{'extends':'default','facts':[" facts "]}"
#define FACT_(rest)  CAT("{'name':'order.x'," rest "}")

static const refused_t  catalogues[] = {
    { CAT(""), "", "" },
    { "{", "json.malformed", "" },
    { "[]", "member.required", "" },
    { "{'extends':'default'}", "member.required", "" },
    { "{'facts':[]}", "member.required", "" },
    { "{'extends':'other','facts':[]}", "member.required", "" },
    { "{'extends':'default','facts':[],'x':1}", "member.required", "" },
    { "{'extends':1,'facts':[]}", "member.required", "" },
    { "{'extends':'default','facts':{}}", "member.required", "" },
    { CAT("1"), "member.required", "/facts/0" },
    { CAT("{'type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a.','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'.a','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a..b','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a b.c','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a@.c','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a[.c','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a`.c','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a{.c','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a/.c','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'a:.c','type':'int'}"), "member.required", "/facts/0" },
    { CAT("{'name':'aA0_-.zZ9','type':'int'}"), "", "" },
    { CAT("{'name':'a." A64 A64 A64 "aaaaaa','type':'int'}"), "", "" },
    { CAT("{'name':'a." A64 A64 A64 "aaaaaaa','type':'int'}"),
      "member.required", "/facts/0" },
    { FACT_("'type':1"), "member.required", "/facts/0" },
    { FACT_("'type':'nothing'"), "member.required", "/facts/0" },
    { FACT_("'type':'struct'"), "member.required", "/facts/0" },
    { FACT_("'type':'list of struct'"), "member.required", "/facts/0" },
    { FACT_("'type':'decimal'"), "", "" },
    { FACT_("'type':'bool','nullable':false,'ordered':false"), "", "" },
    { FACT_("'type':'bool','nullable':1"), "member.unknown",
      "/facts/0/nullable" },
    { FACT_("'type':'bool','ordered':'true'"), "member.unknown",
      "/facts/0/ordered" },
    { FACT_("'type':'int','unit':1"), "member.unknown", "/facts/0/unit" },
    { FACT_("'type':'int','unit':'km'"), "", "" },
    { FACT_("'type':'int','from':'event'"), "", "" },
    { FACT_("'type':'int','from':'state'"), "", "" },
    { FACT_("'type':'int','from':'clock'"), "member.unknown",
      "/facts/0/from" },
    { FACT_("'type':'int','path':'one'"), "", "" },
    { FACT_("'type':'int','path':'a.b.c'"), "", "" },
    { FACT_("'type':'int','path':'a..c'"), "member.unknown",
      "/facts/0/path" },
    { FACT_("'type':'int','path':1"), "member.unknown", "/facts/0/path" },
    { FACT_("'type':'int','x':1"), "member.unknown", "/facts/0/x" },
    { FACT_("'type':'money','currency':'EUR'"), "", "" },
    { FACT_("'type':'money','currency':'eur'"), "value.type",
      "/facts/0/currency" },
    { FACT_("'type':'money','currency':'EU'"), "value.type",
      "/facts/0/currency" },
    { FACT_("'type':'enum'"), "member.required", "/facts/0" },
    { FACT_("'type':'int','values':['a']"), "member.required", "/facts/0" },
    { FACT_("'type':'enum','values':'a'"), "value.type", "/facts/0/values" },
    { FACT_("'type':'enum','values':[]"), "value.type", "/facts/0/values" },
    { FACT_("'type':'enum','values':['a',1]"), "value.type",
      "/facts/0/values/1" },
    { FACT_("'type':'enum','values':['a','b'],'ordered':true"), "", "" },
    { FACT_("'type':'list'"), "member.required", "/facts/0" },
    { FACT_("'type':'int','of':'string'"), "member.unknown",
      "/facts/0/of" },
    { FACT_("'type':'list','of':'string'"), "", "" },
    { FACT_("'type':'list','of':'int'"), "value.type", "/facts/0/of" },
    { FACT_("'type':'list','of':{'fields':[]}"), "value.type",
      "/facts/0/of" },
    { FACT_("'type':'list','of':{'fields':[],'x':1}"), "value.type",
      "/facts/0/of" },
    { FACT_("'type':'list','of':{'fields':1}"), "value.type", "/facts/0/of" },
    { FACT_("'type':'list','of':{'fields':[{'name':'a','type':'int'}]}"), "",
      "" },
    { FACT_("'type':'list','of':{'fields':[{'name':'a','type':'int'},{'name':"
            "'a','type':'int'}]}"), "value.unknown",
      "/facts/0/of/fields/1" },
    { FACT_("'type':'list','of':{'fields':[{'name':'a.b','type':'int'}]}"),
      "member.required", "/facts/0/of/fields/0" },
    { FACT_("'type':'list','of':{'fields':[{'name':'a','type':'list','of':"
            "'string'}]}"), "", "" },
    { FACT_("'type':'list','of':{'fields':[{'name':'a','type':'list','of':{"
            "'fields':[{'name':'b','type':'int'}]}}]}"), "value.type",
      "/facts/0/of/fields/0/of" },
    { CAT("{'name':'order.x','type':'int'},{'name':'order.x','type':'int'}"),
      "value.unknown", "/facts/1" },
    { CAT("{'name':'order.total','type':'money'}"), "value.unknown",
      "/facts/0" },
    { CAT("{'name':'event.type','type':'string'}"), "value.unknown",
      "/facts/0" },
    { CAT("{'name':'member.tier','type':'enum','values':['a']}"), "", "" },
    { CAT("{'name':'member.tier','type':'string','from':'event'}"),
      "value.unknown", "/facts/0" },
    { CAT("{'name':'balance.spent','type':'decimal'}"), "", "" },
    { CAT("{'name':'member.status','type':'bool'}"), "", "" },
    { CAT("{'name':'a.x','type':'int','from':'state'},{'name':'a.x','type':"
          "'int','from':'state'}"), "value.unknown", "/facts/1" },
};


static ly_str_t
numbered(const char *head, const char *before, size_t n, const char *after,
    const char *tail)
{
    size_t    i;
    ly_buf_t  b;

    ly_buf_init_arena(&b, arena, (size_t) 1 << 20);
    ly_buf_cstr(&b, head);

    for (i = 0; i < n; i++) {
        ly_buf_cstr(&b, i > 0 ? "," : "");
        ly_buf_cstr(&b, before);
        ly_buf_uint(&b, i);
        ly_buf_cstr(&b, after);
    }

    ly_buf_cstr(&b, tail);
    ly_buf_byte(&b, '\0');

    return rl_quoted(arena, (const char *) b.data);
}


static void
of_catalogues(void)
{
    bool               good;
    size_t             i, n;
    ly_err_t           err;
    ly_str_t           json, other_way;
    ly_arena_t        *a;
    rule_faults_t      f;
    rule_catalogue_t  *c, *d;
    const refused_t   *r;

    a = ly_arena_create((size_t) 16 << 20, NULL);

    for (i = 0; i < ly_countof(catalogues); i++) {
        ly_arena_reset(a);
        r = &catalogues[i];
        err = rule_catalogue_parse(a, rl_quoted(a, r->json), &c, &f);
        good = *r->code == '\0' ? err == LY_OK
                                : err != LY_OK && first_is(&f, r, "");
        ok(good, "%s %s", r->json, r->code);

        if (!good) {
            say(r->code, &f);
        }
    }

    for (n = 172; n <= 173; n++) {
        json = numbered("{'extends':'default','facts':[", "{'name':'a.x", n,
                        "','type':'int'}", "]}");
        err = rule_catalogue_parse(a, json, &c, &f);
        is_int(err, n == 172 ? LY_OK : LY_LIMIT, "200 facts in all");
    }

    for (n = 64; n <= 65; n++) {
        json = numbered("{'extends':'default','facts':[{'name':'a.x','type':"
                        "'list','of':{'fields':[", "{'name':'x", n,
                        "','type':'int'}", "]}}]}");
        err = rule_catalogue_parse(a, json, &c, &f);
        is_int(err, n == 64 ? LY_OK : LY_PARSE, "64 fields");
    }

    for (n = 1000; n <= 1001; n++) {
        json = numbered("{'extends':'default','facts':[{'name':'a.x','type':"
                        "'enum','values':[", "'x", n, "'", "]}]}");
        err = rule_catalogue_parse(a, json, &c, &f);
        is_int(err, n == 1000 ? LY_OK : LY_PARSE, "1000 values");
    }

    /* the digest knows facts by what they are, not by where they stand */
    json = rl_quoted(arena, CAT("{'name':'a.x','type':'int'},"
                                "{'type':'money','name':'a.y'}"));
    other_way = rl_quoted(arena, CAT("{'name':'a.y','type':'money'},"
                                     "{'name':'a.x','type':'int'}"));

    if (rule_catalogue_parse(arena, json, &c, &f) != LY_OK
        || rule_catalogue_parse(arena, other_way, &d, &f) != LY_OK)
    {
        ok(false, "two catalogues");
        return;
    }

    ok(memcmp(rule_catalogue_digest(c), rule_catalogue_digest(d),
              RULE_DIGEST_LEN) == 0, "the order of facts means nothing");

    static const char *const  other[] = {
        CAT("{'name':'a.x','type':'int'},{'name':'a.y','type':'money',"
            "'currency':'EUR'}"),
        CAT("{'name':'a.x','type':'int'},{'name':'a.y','type':'money',"
            "'nullable':true}"),
        CAT("{'name':'a.x','type':'int'},{'name':'a.y','type':'money',"
            "'from':'state'}"),
        CAT("{'name':'a.x','type':'int'},{'name':'a.y','type':'money',"
            "'path':'a.z'}"),
        CAT("{'name':'a.x','type':'int'},{'name':'a.y','type':'money',"
            "'unit':'EUR'}"),
        CAT("{'name':'a.x','type':'int','ordered':true},{'name':'a.y','type':"
            "'money'}"),
        CAT("{'name':'a.x','type':'enum','values':['a']},{'name':'a.y','type':"
            "'money'}"),
        CAT("{'name':'a.x','type':'enum','values':['b']},{'name':'a.y','type':"
            "'money'}"),
        CAT("{'name':'a.x','type':'list','of':'string'},{'name':'a.y','type':"
            "'money'}"),
        CAT("{'name':'a.x','type':'list','of':{'fields':[{'name':'z','type':"
            "'int'}]}},{'name':'a.y','type':'money'}"),
        CAT("{'name':'a.x','type':'list','of':{'fields':[{'name':'z','type':"
            "'bool'}]}},{'name':'a.y','type':'money'}")
    };

    static unsigned char  seen[12][RULE_DIGEST_LEN];

    memcpy(seen[11], rule_catalogue_digest(c), RULE_DIGEST_LEN);

    for (i = 0; i < ly_countof(other); i++) {
        good = rule_catalogue_parse(arena, rl_quoted(arena, other[i]), &d, &f)
               == LY_OK;

        if (good) {
            memcpy(seen[i], rule_catalogue_digest(d), RULE_DIGEST_LEN);
            good = memcmp(seen[i], seen[11], RULE_DIGEST_LEN) != 0;
        }

        for (n = 0; n < i; n++) {
            good = good && memcmp(seen[i], seen[n], RULE_DIGEST_LEN) != 0;
        }

        ok(good, "each member of a fact has its part in the digest");
    }

    ly_arena_destroy(a);
}


/* the digests that the second implementation gives the same facts */
static void
digests(void)
{
    char               hex[2 * RULE_DIGEST_LEN + 1];
    size_t             i, k;
    rule_faults_t      f;
    rule_catalogue_t  *c[2];

    static const char        facts[] =
        CAT("{'name':'a.x','type':'int','unit':'m'},{'name':'z.m','type':"
            "'money','currency':'EUR','nullable':true},{'name':'member.tier',"
            "'type':'enum','values':['a','b','c'],'ordered':true},{'name':"
            "'b.l','type':'list','of':{'fields':[{'name':'q','type':'int'},{"
            "'name':'p','type':'decimal'}]}},{'name':'b.s','type':'list','of'"
            ":'string','from':'state','path':'y.z'},{'name':'b.e','type':"
            "'enum','values':['one']},{'name':'b.k','type':'list','of':{"
            "'fields':[{'name':'only','type':'string'}]}}");
    static const char *const  want[] = {
        "42dd6dbf90ebc3b1ab4cdef36e4a22de02e3f4b6ae9dfe691c63192c3660331c",
        "7b85f26259a8b5374c0fd622e0c878e51f355779981657611eb9addb4fdfda38"
    };

    c[0] = cat;
    is_int(rule_catalogue_parse(arena, rl_quoted(arena, facts), &c[1], &f),
           LY_OK, "a catalogue with every member");

    for (i = 0; i < ly_countof(want); i++) {
        for (k = 0; k < RULE_DIGEST_LEN; k++) {
            (void) snprintf(hex + 2 * k, 3, "%02x",
                            rule_catalogue_digest(c[i])[k]);
        }

        is_str(ly_str_c(hex), ly_str_c(want[i]), "its digest");
    }
}


/* enums are of one kind if their values are; names are told apart */
static void
kinds(void)
{
    size_t             i;
    ly_buf_t           b;
    ly_err_t           err;
    ly_arena_t        *a;
    rule_faults_t      f;
    rule_program_t    *p;
    rule_catalogue_t  *c;

    static const char *const  numbers[] = {
        "1", "int", "1.5", "decimal", "1.0", "int", "-1", "int",
        "9223372036854775807", "int", "9223372036854775808", "decimal",
        "-9223372036854775808", "int", "-9223372036854775809", "decimal"
    };
    static const char  facts[] =
        CAT("{'name':'e.ab','type':'enum','values':['a','b']},{'name':'e.xb',"
            "'type':'enum','values':['x','b']},{'name':'e.ay','type':'enum',"
            "'values':['a','y']},{'name':'e.ba','type':'enum','values':['a',"
            "'b']},{'name':'e.abc','type':'enum','values':['a','b','c']},{"
            "'name':'e.ord','type':'enum','values':['a','b'],'ordered':true},{"
            "'name':'e.l','type':'list','of':{'fields':[{'name':'e','type':"
            "'enum','values':['a','b']},{'name':'n','type':'int'}]}},{"
            "'name':'member.tier','type':'enum','values':['a','b']}");

#define SAME(x)  "{'===':[{'var':'e.ab'},{'var':'" x "'}]}"

    static const refused_t  rules[] = {
        { SAME("e.ba"), "", "" },
        { SAME("e.xb"), "type.mismatch", "/===/1" },
        { SAME("e.ay"), "type.mismatch", "/===/1" },
        { SAME("e.abc"), "type.mismatch", "/===/1" },
        { "{'>':[{'var':'e.ord'},'a']}", "", "" },
        { "{'>':[{'var':'e.ab'},'a']}", "type.mismatch", "/>/0" },
        { "{'===':[{'var':'e.ab'},'c']}", "enum.unknown", "/===/1" },
        { "{'===':[{'var':'e.ab'},1]}", "type.mismatch", "/===/1" },
        { "{'tier':['a']}", "", "" },
        { "{'tier':['c']}", "enum.unknown", "/tier/0" },
        { "{'===':[{'max_by':[{'var':'e.l'},{'var':'e'}]},'a']}",
          "type.mismatch", "/===/0/max_by/1" },
        { "{'===':[{'var':''},'x']}", "fact.unknown", "/===/0" },
        { "{'===':[{'if':[true,{'var':'e.ab'},{'var':'e.ba'}]},'a']}", "",
          "" },
        { "{'>':[{'distinct_count':[{'var':'e.l'},{'var':'e'}]},1]}", "",
          "" },
        { "{'===':[{'max_by':[{'var':'e.l'},{'var':'n'},{'var':'e'}]},'a']}",
          "", "" },
        { "{'===':[{'max_by':[{'var':'e.l'},{'var':'n'},{'var':'e'}]},'c']}",
          "enum.unknown", "/===/1" }
    };
    static const char *const  found[] = {
        "{'var':['order.line_count',1]}", "int",
        "{'var':['order.line_count',1.5]}", "decimal",
        "{'var':['order.quantity',1]}", "decimal",
        "{'var':['order.total',1.5]}", "money",
        "{'count_in_window':['a','P1D']}", "int",
        "{'sum_in_window':['a','order.line_count','P1D']}", "decimal",
        "{'if':[true,1,2]}", "int",
        "{'if':[true,1,2.5]}", "decimal",
        "{'if':[true,2.5,{'var':'order.line_count'}]}", "decimal",
        "{'if':[true,{'var':'order.line_count'},{'var':'order.quantity'}]}",
        "decimal",
        "{'if':[true,{'var':'order.line_count'},1]}", "int",
        "{'if':[true,{'var':'order.total'},{'var':'order.total'}]}", "money",
        "{'+':[{'var':'order.line_count'},1]}", "int",
        "{'+':[{'var':'order.line_count'},{'var':'order.quantity'}]}",
        "decimal",
        "{'+':[2.5,{'var':'order.line_count'}]}", "decimal",
        "{'+':[{'var':'order.total'},{'var':'order.total'}]}", "money",
        "{'round':[{'var':'order.line_count'},0,'floor']}", "decimal",
        "{'abs':[{'var':'order.line_count'}]}", "int",
        "{'*':[{'var':'order.line_count'},{'var':'order.line_count'}]}",
        "int",
        "{'*':[{'var':'order.line_count'},{'var':'order.quantity'}]}",
        "decimal",
        "{'/':[{'var':'order.line_count'},{'var':'order.line_count'},0,"
        "'floor']}", "decimal",
        "{'/':[{'var':'order.total'},2,0,'floor']}", "money"
    };
    static const char *const  lists[] = {
        "{'===':[{'var':['member.segments','x']},'a']}",
        "{'===':[{'var':['order.lines',1]},1]}",
        "{'some':[{'var':'order.lines'},{'===':[{'var':['',1]},1]}]}"
    };

    a = ly_arena_create((size_t) 8 << 20, NULL);

    if (rule_catalogue_parse(arena, rl_quoted(arena, facts), &c, &f)
        != LY_OK)
    {
        ok(false, "a catalogue of enums");
        return;
    }

    for (i = 0; i < ly_countof(rules); i++) {
        ly_arena_reset(a);
        err = rule_compile(a, rl_condition(a, rl_quoted(a, rules[i].json)), c,
                           0, &p, &f);
        ok(*rules[i].code == '\0' ? err == LY_OK
           : err == LY_PARSE && first_is(&f, &rules[i], "/condition"),
           "%s %s", rules[i].json, rules[i].code);
    }

    is_int(rule_compile(a, rl_condition(a, rl_quoted(a, "{'var':'nope'}")), c,
                        0, &p, &f), LY_PARSE, "no such fact");
    is_str(f.fault[0].expected, ly_str("a fact of the catalogue"), "is told");
    is_int(rule_compile(a, rl_condition(a, rl_quoted(a, "{'some':[{'var':"
                                                     "'e.l'},{'var':'nope'}"
                                                     "]}")), c, 0, &p, &f),
           LY_PARSE, "no such field");
    is_str(f.fault[0].expected,
           ly_str("a field of the element or a fact of the catalogue"),
           "is told");

    for (i = 0; i < ly_countof(found); i += 2) {
        ly_buf_init_arena(&b, a, 256);
        ly_buf_cstr(&b, "{'contains':[");
        ly_buf_cstr(&b, found[i]);
        ly_buf_cstr(&b, ",'a']}");
        ly_buf_byte(&b, '\0');
        is_int(rule_compile(a, rl_condition(a, rl_quoted(a, (char *) b.data)),
                            cat, 0, &p, &f), LY_PARSE, "is no text");
        is_str(f.fault[0].found, ly_str_c(found[i + 1]), found[i]);
    }

    for (i = 0; i < ly_countof(lists); i++) {
        is_int(rule_compile(a, rl_condition(a, rl_quoted(a, lists[i])), cat, 0,
                            &p, &f), LY_PARSE, lists[i]);
        is_str(f.fault[0].expected, ly_str("no default for a list"),
               "is told so");
    }

    for (i = 0; i < ly_countof(numbers); i += 2) {
        ly_buf_init_arena(&b, a, 256);
        ly_buf_cstr(&b, "{\"contains\":[");
        ly_buf_cstr(&b, numbers[i]);
        ly_buf_cstr(&b, ",\"a\"]}");
        is_int(rule_compile(a, rl_condition(a, ly_buf_view(&b)), cat, 0, &p,
                            &f), LY_PARSE, "a number is no text");
        is_str(f.fault[0].found, ly_str_c(numbers[i + 1]), numbers[i]);
    }

    is_int(rule_catalogue_parse(a, rl_quoted(a, CAT("1,2")), &c, &f),
           LY_PARSE, "facts that have no name");
    is_int(f.n, 2, "are one fault each");
    ly_arena_destroy(a);
}


int
main(void)
{
    arena = ly_arena_create((size_t) 64 << 20, NULL);

    if (arena == NULL || rule_catalogue_default(arena, &cat) != LY_OK) {
        return 1;
    }

    documents_and_conditions();
    bounds();
    of_catalogues();
    digests();
    kinds();
    ly_arena_destroy(arena);

    return tap_done();
}
