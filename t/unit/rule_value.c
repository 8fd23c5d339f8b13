/*
 * Events read and conditions answered: values of every type as documents may
 * write them, what is invalid, what is missing, what overflows.
 */

#include "rule_lib.h"


static ly_arena_t        *arena;
static rule_catalogue_t  *cat;

static const char  facts[] =
    "{'extends':'default','facts':[{'name':'x.i','type':'int','nullable':true}"
    ",{'name':'x.d','type':'decimal','nullable':true},{'name':'x.m','type':'mo"
    "ney','nullable':true},{'name':'x.e','type':'money','currency':'EUR','null"
    "able':true},{'name':'x.s','type':'string','nullable':true},{'name':'x.b',"
    "'type':'bool','nullable':true},{'name':'x.t','type':'instant','nullable':"
    "true},{'name':'x.a','type':'date','nullable':true},{'name':'x.n','type':'"
    "enum','values':['lo','mid','hi'],'ordered':true,'nullable':true},{'name':"
    "'x.k','type':'enum','values':['lo','mid','hi'],'nullable':true},{'name':'"
    "x.l','type':'list','of':'string','nullable':true},{'name':'x.r','type':'l"
    "ist','nullable':true,'of':{'fields':[{'name':'a','type':'int','nullable':"
    "true},{'name':'b','type':'bool','nullable':true},{'name':'c','type':'stri"
    "ng','nullable':true},{'name':'l','type':'list','of':'string','nullable':t"
    "rue},{'name':'m','type':'money','nullable':true},{'name':'t','type':'inst"
    "ant','nullable':true}]}},{'name':'x.q','type':'list','nullable':true,'of'"
    ":{'fields':[{'name':'m','type':'money'}]}},{'name':'member.cash','type':'"
    "money','nullable':true}]}";

/* what stands in x, a condition, and: 1 matched, 0 not, or an error's code */
typedef struct {
    const char  *x;
    const char  *condition;
    const char  *want;
} value_t;

#define INVALID  "fact.invalid"
#define I1       "{'===':[{'var':'x.i'},1]}"
#define D15      "{'===':[{'var':'x.d'},1.5]}"
#define M        "{'===':[{'var':'x.m'},{'money':['12.5','GBP']}]}"
#define E        "{'===':[{'var':'x.e'},{'money':['12.5','EUR']}]}"
#define SA       "{'===':[{'var':'x.s'},'a']}"
#define T        "{'===':[{'var':'x.t'},'2026-03-10T12:00:00Z']}"
#define A        "{'===':[{'var':'x.a'},'2026-03-10']}"
#define N        "{'>=':[{'var':'x.n'},'mid']}"
#define LA       "{'in':['a',{'var':'x.l'}]}"

static const value_t  values[] = {
    { "'i':1", I1, "1" }, { "'i':2", I1, "0" }, { "'i':null", I1, "0" },
    { "'j':1", I1, "0" }, { "'i':'1'", I1, INVALID },
    { "'i':1.0", I1, INVALID }, { "'i':1e0", I1, INVALID },
    { "'i':1.5", I1, INVALID }, { "'i':true", I1, INVALID },
    { "'i':[1]", I1, INVALID }, { "'i':{'a':1}", I1, INVALID },
    { "'i':9223372036854775807",
      "{'===':[{'var':'x.i'},9223372036854775807]}", "1" },
    { "'i':9223372036854775808", I1, INVALID },
    { "'i':-9223372036854775808",
      "{'===':[{'var':'x.i'},-9223372036854775808]}", "1" },
    { "'i':-9223372036854775809", I1, INVALID },

    { "'d':1.5", D15, "1" }, { "'d':'1.50'", D15, "1" },
    { "'d':15e-1", D15, "1" }, { "'d':0.15E1", D15, "1" },
    { "'d':0.15e+1", D15, "1" }, { "'d':'15e-1'", D15, INVALID },
    { "'d':'x'", D15, INVALID }, { "'d':''", D15, INVALID },
    { "'d':1e99", D15, INVALID }, { "'d':false", D15, INVALID },
    { "'d':[]", D15, INVALID }, { "'d':{}", D15, INVALID },

    { "'m':'12.50'", M, "1" }, { "'m':12.5", M, "1" },
    { "'m':{'amount':1250,'currency':'GBP'}", M, "1" },
    { "'m':{'currency':'GBP','amount':1250}", M, "1" },
    { "'m':{'amount':1250,'currency':'GBP','x':[1]}", M, INVALID },
    { "'m':{'amount':1251,'currency':'GBP'}", M, "0" },
    { "'m':{'amount':1250,'currency':'EUR'}", M, "currency.mismatch" },
    { "'m':{'amount':13,'currency':'JPY'}",
      "{'===':[{'var':'x.m'},{'money':['13','JPY']}]}", "1" },
    { "'m':{'amount':12500,'currency':'KWD'}",
      "{'===':[{'var':'x.m'},{'money':['12.5','KWD']}]}", "1" },
    { "'m':{'amount':'1250','currency':'GBP'}", M, INVALID },
    { "'m':{'amount':1250.5,'currency':'GBP'}", M, INVALID },
    { "'m':{'amount':1250,'currency':'gbp'}", M, INVALID },
    { "'m':{'amount':1250,'currency':1}", M, INVALID },
    { "'m':{'amount':1250}", M, INVALID },
    { "'m':{'currency':'GBP'}", M, INVALID },
    { "'m':{}", M, INVALID }, { "'m':[]", M, INVALID },
    { "'m':true", M, INVALID }, { "'m':'x'", M, INVALID },
    { "'e':'12.5'", E, "1" },
    { "'e':{'amount':1250,'currency':'EUR'}", E, "1" },
    { "'e':{'amount':1250,'currency':'GBP'}", E, INVALID },

    { "'s':'a'", SA, "1" }, { "'s':'\\u0061'", SA, "1" },
    { "'s':'b'", SA, "0" }, { "'s':1", SA, INVALID },
    { "'s':true", SA, INVALID }, { "'s':['a']", SA, INVALID },
    { "'s':''", "{'===':[{'var':'x.s'},'']}", "1" },
    { "'s':'\\b\\f\\n\\r\\t\\/\\\\'",
      "{'===':[{'var':'x.s'},'\\b\\f\\n\\r\\t/\\\\']}", "1" },
    { "'s':'\\u00E9\\u00e9'", "{'===':[{'var':'x.s'},'\xc3\xa9\xc3\xa9']}",
      "1" },
    { "'s':'\\u20ac\\uD83D\\uDE00'",
      "{'===':[{'var':'x.s'},'\xe2\x82\xac\xf0\x9f\x98\x80']}", "1" },
    { "'s':'\\ud83d\\ude00'", "{'===':[{'length':{'var':'x.s'}},1]}", "1" },
    { "'s':'\\u0080\\u0800\\ud800\\udc00'", "{'===':[{'var':'x.s'},'\xc2\x80"
      "\xe0\xa0\x80\xf0\x90\x80\x80']}", "1" },
    { "'s':'\\u07ff\\uffff\\udbff\\udfff'", "{'===':[{'var':'x.s'},'\xdf\xbf"
      "\xef\xbf\xbf\xf4\x8f\xbf\xbf']}", "1" },
    { "'s':'\\uabcd\\ufEdC'", "{'===':[{'var':'x.s'},'\xea\xaf\x8d\xef\xbb\x9c"
      "']}", "1" },
    { "'s':'\\ue000 '", "{'===':[{'var':'x.s'},'\\ue000 ']}", "1" },
    { "'s':'\\ue000 '", "{'===':[{'length':{'var':'x.s'}},2]}", "1" },
    { "'s':'a\\u007fb'", "{'===':[{'length':{'var':'x.s'}},3]}", "1" },

    { "'b':true", "{'var':'x.b'}", "1" },
    { "'b':false", "{'var':'x.b'}", "0" },
    { "'b':null", "{'var':'x.b'}", "0" },
    { "'b':null", "{'!':{'var':'x.b'}}", "1" },
    { "'b':1", "{'var':'x.b'}", INVALID },
    { "'b':'true'", "{'var':'x.b'}", INVALID },
    { "'b':{}", "{'var':'x.b'}", INVALID },
    { "'b':[]", "{'var':'x.b'}", INVALID },
    { "'b':false", "{'===':[{'var':'x.b'},false]}", "1" },
    { "'b':false", "{'!==':[{'var':'x.b'},false]}", "0" },

    { "'t':'2026-03-10T13:00:00+01:00'", T, "1" },
    { "'t':'2026-03-10 12:00:00Z'", T, INVALID }, { "'t':1", T, INVALID },
    { "'a':'2026-03-10'", A, "1" }, { "'a':'2026-02-29'", A, INVALID },
    { "'a':20260310", A, INVALID },
    { "'n':'mid'", N, "1" }, { "'n':'lo'", N, "0" }, { "'n':'hi'", N, "1" },
    { "'n':'top'", N, INVALID }, { "'n':1", N, INVALID },
    { "'n':'lo','k':'lo'", "{'===':[{'var':'x.n'},{'var':'x.k'}]}", "1" },

    { "'l':['b','a']", LA, "1" }, { "'l':['b']", LA, "0" },
    { "'l':[]", LA, "0" }, { "'l':null", LA, "0" }, { "'l':'a'", LA, INVALID },
    { "'l':['a',1]", LA, INVALID }, { "'l':['a',null]", LA, INVALID },
    { "'l':[[]]", LA, INVALID }, { "'l':{}", LA, INVALID },
    { "'l':['a','b','c','d','e','f','g','h','i']",
      "{'===':[{'count':[{'var':'x.l'}]},9]}", "1" },

    { "'r':[{'a':1},{'a':2,'b':true}]",
      "{'some':[{'var':'x.r'},{'var':'b'}]}", "1" },
    { "'r':[{'a':1},{'a':2,'b':true}]",
      "{'===':[{'sum':[{'var':'x.r'},{'var':'a'}]},3]}", "1" },
    { "'r':[{'a':1},{'a':'2'}]",
      "{'===':[{'sum':[{'var':'x.r'},{'var':'a'}]},3]}", INVALID },
    { "'r':[{'a':1},{}]",
      "{'has':['x.r']}", "1" },
    { "'r':[{'a':1},{}]",
      "{'===':[{'sum':[{'var':'x.r'},{'var':'a'}]},1]}", "0" },
    { "'r':[{'a':1},{}]",
      "{'===':[{'count':[{'var':'x.r'},{'has':['a']}]},1]}", "1" },
    { "'r':[{'a':1},{}]",
      "{'===':[{'count':[{'var':'x.r'},{'missing':['a']}]},1]}", "1" },
    { "'r':[{'l':['p','q']},{'l':[]}]",
      "{'===':[{'count':[{'var':'x.r'},{'in':['q',{'var':'l'}]}]},1]}", "1" },
    { "'q':[{'m':'5.00'}]",
      "{'some':[{'var':'x.q'},{'===':[{'var':'m'},{'money':[5,'GBP']}]}]}",
      "1" },
    { "'q':[{'m':'5.00'}]",
      "{'some':[{'var':'x.q'},{'===':[{'var':'m'},{'money':[6,'GBP']}]}]}",
      "0" },
    { "'r':[1]", "{'some':[{'var':'x.r'},{'var':'b'}]}", INVALID },
    { "'r':[{'a':1},null]", "{'some':[{'var':'x.r'},{'var':'b'}]}", INVALID },
    { "'r':{'a':1}", "{'some':[{'var':'x.r'},{'var':'b'}]}", INVALID },
    { "'r':[{'m':'5'},{'m':{'amount':100,'currency':'EUR'}}]",
      "{'>':[{'sum':[{'var':'x.r'},{'var':'m'}]},1]}", "currency.mismatch" },
    { "'r':[{'m':'5'},{'m':'7'}]",
      "{'===':[{'sum':[{'var':'x.r'},{'var':'m'}]},12]}", "1" },
    { "'r':[]", "{'===':[{'sum':[{'var':'x.r'},{'var':'m'}]},0]}", "1" },
    { "'r':[{'m':'5'},{}]",
      "{'===':[{'sum':[{'var':'x.r'},{'var':'m'}]},5]}", "0" },
    { "'r':[{'a':1,'c':'p'},{'c':'q'},{'a':3,'c':'r'},{'a':3,'c':'s'}]",
      "{'===':[{'max_by':[{'var':'x.r'},{'var':'a'},{'var':'c'}]},'r']}",
      "1" },
    { "'r':[{'a':1,'c':'p'},{'c':'q'},{'a':1,'c':'r'},{'a':3,'c':'s'}]",
      "{'===':[{'min_by':[{'var':'x.r'},{'var':'a'},{'var':'c'}]},'p']}",
      "1" },
    { "'r':[{'c':'q'}]",
      "{'===':[{'max_by':[{'var':'x.r'},{'var':'a'}]},1]}", "0" },
    { "'r':[{'a':1},{'a':1},{},{'a':2}]",
      "{'===':[{'distinct_count':[{'var':'x.r'},{'var':'a'}]},2]}", "1" },
    { "'r':[{'c':'a'},{'c':''},{'c':'a'},{'c':''}]",
      "{'===':[{'distinct_count':[{'var':'x.r'},{'var':'c'}]},2]}", "1" },
    { "'r':[{'m':'1'},{'m':{'amount':100,'currency':'EUR'}}]",
      "{'>':[{'max_by':[{'var':'x.r'},{'var':'m'}]},0]}",
      "currency.mismatch" },
    { "'r':[{'b':true},{}]", "{'all':[{'var':'x.r'},{'var':'b'}]}", "0" },
    { "'r':[{'b':true},{}]", "{'none':[{'var':'x.r'},{'var':'b'}]}", "0" },
    { "'r':[{'b':false},{}]", "{'none':[{'var':'x.r'},{'var':'b'}]}", "1" },
    { "'r':[{'b':false},{}]", "{'some':[{'var':'x.r'},{'var':'b'}]}", "0" },
    { "'r':[{'a':1},{'a':5},{'a':9}]",
      "{'===':[{'count':[{'filter':[{'var':'x.r'},{'>':[{'var':'a'},4]}]}]},2"
      "]}", "1" },
    { "'r':[{'a':1},{'a':5},{'a':9}]",
      "{'===':[{'sum':[{'filter':[{'filter':[{'var':'x.r'},{'>':[{'var':'a'},"
      "4]}]},{'<':[{'var':'a'},9]}]},{'var':'a'}]},5]}", "1" },
    { "'r':null", "{'===':[{'count':[{'filter':[{'var':'x.r'},true]}]},0]}",
      "0" },

    { "'m':'1'", "{'>':[{'var':'x.m'},{'var':'x.e'}]}", "0" },
    { "'m':'1','e':'1'", "{'>':[{'var':'x.m'},{'var':'x.e'}]}",
      "currency.mismatch" },
    { "'m':'1','e':'1'", "{'>':[{'+':[{'var':'x.m'},{'var':'x.e'}]},0]}",
      "currency.mismatch" },
    { "'m':'1','e':'1'", "{'>':[{'-':[{'var':'x.m'},{'var':'x.e'}]},0]}",
      "currency.mismatch" },
    { "'m':'1','e':'1'", "{'>':[{'max':[{'var':'x.m'},{'var':'x.e'}]},0]}",
      "currency.mismatch" },
    { "'m':'1','e':'1'",
      "{'>':[{'/':[{'var':'x.m'},{'var':'x.e'},2,'floor']},0]}",
      "currency.mismatch" },
    { "'m':'1','d':3",
      "{'===':[{'/':[{'var':'x.m'},{'var':'x.d'},2,'half_up']},0.33]}", "1" },
    { "'m':'-1','d':3",
      "{'===':[{'/':[{'var':'x.m'},{'var':'x.d'},0,'floor']},-1]}", "1" },
    { "'m':'2','d':3",
      "{'===':[{'*':[{'var':'x.m'},{'var':'x.d'}]},6]}", "1" },
    { "'m':'-2'", "{'===':[{'abs':{'var':'x.m'}},2]}", "1" },
    { "'m':'2'", "{'===':[{'abs':{'var':'x.m'}},2]}", "1" },
    { "'m':'2'", "{'===':[{'-':{'var':'x.m'}},-2]}", "1" },
    { "'d':'1.255'", "{'===':[{'round':[{'var':'x.d'},2,'half_up']},1.26]}",
      "1" },
    { "'d':'1.25'", "{'===':[{'round':[{'var':'x.d'},2,'half_up']},1.25]}",
      "1" },
    { "'d':'1.245'", "{'===':[{'round':[{'var':'x.d'},2,'half_even']},1.24]}",
      "1" },
    { "'d':0", "{'>':[{'/':[1,{'var':'x.d'},2,'floor']},0]}",
      "number.division_by_zero" },
    { "'d':0,'i':1", "{'>':[{'%':[{'var':'x.i'},{'var':'x.d'}]},0]}",
      "number.division_by_zero" },
    { "'d':1.5,'i':7", "{'>':[{'%':[{'var':'x.i'},{'var':'x.d'}]},0]}",
      "number.not_whole" },
    { "'d':1.5,'i':7", "{'>':[{'%':[{'var':'x.d'},{'var':'x.i'}]},0]}",
      "number.not_whole" },
    { "'i':-7", "{'===':[{'%':[{'var':'x.i'},3]},-1]}", "1" },
    { "'d':'99999999999999999999999999999999999999'",
      "{'>':[{'+':[{'var':'x.d'},{'var':'x.d'}]},0]}", "number.overflow" },
    { "'d':'-99999999999999999999999999999999999999'",
      "{'>':[{'-':[{'var':'x.d'},1]},0]}", "number.overflow" },
    { "'d':'99999999999999999999999999999999999999'",
      "{'>':[{'*':[{'var':'x.d'},2]},0]}", "number.overflow" },
    { "'d':'99999999999999999999999999999999999999'",
      "{'>':[{'/':[{'var':'x.d'},3,2,'floor']},0]}", "number.overflow" },
    { "'i':9223372036854775807,'r':[{'a':9223372036854775807},{'a':1}]",
      "{'===':[{'sum':[{'var':'x.r'},{'var':'a'}]},9223372036854775808]}",
      "1" },

    { "'i':5", "{'<':[1,{'var':'x.i'},9]}", "1" },
    { "'i':5", "{'<':[1,{'var':'x.i'},5]}", "0" },
    { "'i':5", "{'<':[5,{'var':'x.i'},9]}", "0" },
    { "'i':5", "{'<=':[5,{'var':'x.i'},5]}", "1" },
    { "'i':5", "{'<=':[1,{'var':'x.i'},4]}", "0" },
    { "'i':5", "{'between':[{'var':'x.i'},5,5]}", "1" },
    { "'i':5", "{'between':[{'var':'x.i'},6,9]}", "0" },
    { "'i':5", "{'between':[{'var':'x.i'},1,4]}", "0" },
    { "'s':''", "{'<':[{'var':'x.s'},'a']}", "1" },
    { "'s':'a'", "{'<':[{'var':'x.s'},'']}", "0" },
    { "'s':''", "{'<=':[{'var':'x.s'},'']}", "1" },
    { "'s':'ab'", "{'>':[{'var':'x.s'},'a']}", "1" },
    { "'s':''", "{'contains':[{'var':'x.s'},'']}", "1" },
    { "'s':'a'", "{'contains':[{'var':'x.s'},'']}", "1" },
    { "'s':'a'", "{'contains':[{'var':'x.s'},'ab']}", "0" },
    { "'s':'xab'", "{'contains':[{'var':'x.s'},'ab']}", "1" },
    { "'s':'ab'", "{'starts':[{'var':'x.s'},'abc']}", "0" },
    { "'s':'ab'", "{'starts':[{'var':'x.s'},'b']}", "0" },
    { "'s':'ab'", "{'starts':[{'var':'x.s'},'a']}", "1" },
    { "'s':'ab'", "{'ends':[{'var':'x.s'},'cab']}", "0" },
    { "'s':'ab'", "{'ends':[{'var':'x.s'},'a']}", "0" },
    { "'s':'ab'", "{'ends':[{'var':'x.s'},'b']}", "1" },
    { "'s':'AB'", "{'ends_fold':[{'var':'x.s'},'b']}", "1" },
    { "'s':'AB'", "{'starts_fold':[{'var':'x.s'},'aB']}", "1" },
    { "'s':'AB'", "{'equals_fold':[{'var':'x.s'},'aB']}", "1" },
    { "'s':'AB'", "{'equals_fold':[{'var':'x.s'},'a']}", "0" },
    { "'s':'AB'", "{'===':[{'fold':{'var':'x.s'}},'ab']}", "1" },
    { "'s':null", "{'===':[{'fold':{'var':'x.s'}},'ab']}", "0" },
    { "'s':null", "{'contains':['a',{'var':'x.s'}]}", "0" },
    { "'s':'b'", "{'in':[{'var':'x.s'},['a','b']]}", "1" },
    { "'s':'c'", "{'in':[{'var':'x.s'},['a','b']]}", "0" },
    { "'s':'c'", "{'in':[{'var':'x.s'},[]]}", "0" },
    { "'s':'c','l':['c']", "{'in':[{'var':'x.s'},{'var':'x.l'}]}", "1" },
    { "'l':['c']", "{'in':[{'var':'x.s'},{'var':'x.l'}]}", "0" },
    { "'i':3", "{'===':[{'var':['x.d',7]},7]}", "1" },
    { "'i':3,'d':8", "{'===':[{'var':['x.d',7]},8]}", "1" },
    { "'i':3", "{'===':[{'if':[{'>':[{'var':'x.i'},2]},'a','b']},'a']}", "1" },
    { "'i':1", "{'===':[{'if':[{'>':[{'var':'x.i'},2]},'a','b']},'a']}", "0" },
    { "'j':1", "{'===':[{'if':[{'>':[{'var':'x.i'},2]},'a','b']},'b']}", "1" },
    { "'j':1", "{'if':[{'var':'x.b'},true,{'var':'x.b'}]}", "0" },
    { "'i':1", "{'or':[{'===':[{'var':'x.i'},1]},{'>':[{'/':[1,{'var':'x.i'},"
      "0,'floor']},5]}]}", "1" },
    { "'d':0", "{'and':[{'===':[{'var':'x.d'},1]},{'>':[{'/':[1,{'var':'x.d'}"
      ",0,'floor']},5]}]}", "0" },
    { "'t':'9999-12-31T23:00:00Z'",
      "{'>':[{'plus':[{'var':'x.t'},'PT2H']},{'var':'x.t'}]}", "time.zone" },
    { "'a':'9999-12-31'",
      "{'>':[{'plus':[{'var':'x.a'},'P1D']},{'var':'x.a'}]}", "time.range" },
    { "'a':'0001-01-01'",
      "{'>':[{'minus':[{'var':'x.a'},'P1D']},{'var':'x.a'}]}", "time.range" },
    { "'a':'9999-12-31'",
      "{'>':[{'plus':[{'var':'x.a'},'P1M']},{'var':'x.a'}]}", "time.range" },
    { "'a':'0001-01-02'",
      "{'===':[{'minus':[{'var':'x.a'},'P1D']},'0001-01-01']}", "1" },
    { "'a':'9999-12-30'",
      "{'===':[{'plus':[{'var':'x.a'},'P1D']},'9999-12-31']}", "1" },
    { "'a':'2024-01-31'",
      "{'===':[{'plus':[{'var':'x.a'},'P1M']},'2024-02-29']}", "1" },
    { "'a':'2000-02-29'", "{'birthday':[{'var':'x.a'},'2026-02-28']}", "1" },
    { "'a':'2000-02-29'", "{'birthday':[{'var':'x.a'},'2024-02-28']}", "0" },
    { "'a':'2000-02-28'", "{'birthday':[{'var':'x.a'},'2026-03-28']}", "0" },
    { "'a':'2000-03-29'", "{'birthday':[{'var':'x.a'},'2026-03-28']}", "0" },
};


/* in UTC: where the years end, to the microsecond */
static const value_t  in_utc[] = {
    { "'t':'0001-01-01T00:00:01Z'",
      "{'===':[{'minus':[{'var':'x.t'},'PT1S']},'0001-01-01T00:00:00Z']}",
      "1" },
    { "'t':'0001-01-01T00:00:00.999999Z'",
      "{'<':[{'minus':[{'var':'x.t'},'PT1S']},{'var':'x.t'}]}", "time.range" },
    { "'t':'9999-12-31T23:59:58.999999Z'",
      "{'===':[{'plus':[{'var':'x.t'},'PT1S']},'9999-12-31T23:59:59.999999Z']"
      "}", "1" },
    { "'t':'9999-12-31T23:59:59Z'",
      "{'>':[{'plus':[{'var':'x.t'},'PT1S']},{'var':'x.t'}]}", "time.range" },
    { "'t':'9999-12-31T23:59:59Z'",
      "{'>':[{'plus':[{'var':'x.t'},'P1D']},{'var':'x.t'}]}", "time.range" },
    { "'t':'2026-03-10T12:34:56Z'", "{'===':[{'minute':{'var':'x.t'}},34]}",
      "1" }
};


static const char *
answer(ly_arena_t *a, const value_t *c, const char *state,
    const ly_zone_t *zone)
{
    ly_buf_t         b;
    rule_run_t       run;
    rule_input_t    *in;
    rule_result_t    r, plain;
    rule_verify_t    v;
    rule_options_t   options;
    rule_program_t  *p;

    ly_buf_init_arena(&b, a, 1 << 16);
    ly_buf_cstr(&b, "{'type':'order.paid','occurred_at':'2026-03-10T12:00:00Z'"
                ",'source':'shop','order':{'currency':'GBP'},'x':{");
    ly_buf_cstr(&b, c->x);
    ly_buf_cstr(&b, "}}");
    ly_buf_byte(&b, '\0');
    p = rl_compile(a, cat, rl_condition(a, rl_quoted(a, c->condition)), 0);

    if (p == NULL
        || rule_input_create(a, cat, zone, ly_str_c(zone == NULL ? "" : "UTC"),
                             &in) != LY_OK
        || rule_input_event(in, rl_quoted(a, (const char *) b.data)) != LY_OK
        || rule_input_state(in, rl_quoted(a, state)) != LY_OK)
    {
        return "is not read";
    }

    memset(&run, 0, sizeof(run));
    memset(&options, 0, sizeof(options));
    options.trace = true;
    run.program = p;

    if (rule_evaluate(a, in, &run, 1, &options, &r) != LY_OK
        || rule_evaluate(a, in, &run, 1, NULL, &plain) != LY_OK
        || plain.outcome != r.outcome
        || rule_trace_verify(a, r.trace, p, cat, zone, &v) != LY_OK || !v.same)
    {
        return "has another answer when it is traced";
    }

    return r.outcome == RULE_ERROR ? r.code
                                   : r.outcome == RULE_MATCHED ? "1" : "0";
}


static void
of_types(void)
{
    size_t       i;
    ly_arena_t  *a;
    const char  *got;

    a = ly_arena_create((size_t) 16 << 20, NULL);

    for (i = 0; i < ly_countof(values); i++) {
        ly_arena_reset(a);
        got = answer(a, &values[i], "{}", NULL);
        ok(strcmp(got, values[i].want) == 0, "%s of {%s}: %s",
           values[i].condition, values[i].x, got);
    }

    for (i = 0; i < ly_countof(in_utc); i++) {
        ly_arena_reset(a);
        got = answer(a, &in_utc[i], "{}", ly_zone_utc());
        ok(strcmp(got, in_utc[i].want) == 0, "%s of {%s}: %s",
           in_utc[i].condition, in_utc[i].x, got);
    }

    ly_arena_destroy(a);
}


/* texts that are no JSON, at every depth a fact may stand */
static void
malformed(void)
{
    size_t         i, k, n, bad;
    ly_buf_t       b;
    ly_str_t       good;
    rule_input_t  *in;

    static const char *const  broken[] = {
        "tru", "nul", "falsy", "01", "-", "-x", "1.", "1.x", "1e", "1e+",
        "1ex", ".5", "+1", "1 2", "'\\x'", "'\\u12'", "'\\u12g4'",
        "'\\ud800'", "'\\ud800x'", "'\\ud800\\n'", "'\\ud800\\u0041'",
        "'\\udc00\\udc00'", "'\\ud83d\\udbff'", "'\\ud83dxude00'",
        "'\\ud83d\\xde00'", "'\\ud800\\ue000'", "'\\ud800\\u12x4'",
        "'\\udc00'", "'\\u0000'",
        "'\n'", "'a", "'\\", "[1,]", "[1", "[", "[1 2]", "[,]", "{'a'}",
        "{'a':}", "{'a':1,}", "{'a':1", "{", "{a:1}", "{'a' 1}",
        "{'a':1 'b':2}", "'\xff'", "'\xc3'", "\x01", "]",
        "}", "", "'a'x",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
    };
    static const char *const  twice[] = {
        "{'x':{'i':1,'i':2}}", "{'x':{'r':[{'a':1,'a':2}]}}",
        "{'x':{'m':{'amount':1,'currency':'GBP','amount':1}}}",
        "{'type':'a','type':'a'}"
    };
    static const char *const  places[] = {
        "i", "d", "m", "s", "b", "l", "r", "other"
    };

    if (rule_input_create(arena, cat, NULL, ly_str(""), &in) != LY_OK) {
        ok(false, "an input");
        return;
    }

    for (i = 0; i < ly_countof(broken); i++) {
        bad = 0;

        for (k = 0; k < ly_countof(places); k++) {
            for (n = 0; n < 3; n++) {
                ly_buf_init_arena(&b, arena, 4096);
                ly_buf_cstr(&b, "{'x':{'");
                ly_buf_cstr(&b, places[k]);
                ly_buf_cstr(&b, n == 0 ? "':" : n == 1 ? "':[" : "':[{'a':");
                ly_buf_cstr(&b, broken[i]);
                ly_buf_cstr(&b, n == 0 ? "}}" : n == 1 ? "]}}" : "}]}}");
                ly_buf_byte(&b, '\0');
                good = rl_quoted(arena, (const char *) b.data);
                bad += rule_input_event(in, rl_edge(good)) == LY_OK;
            }
        }

        /* an empty list is a list, and a list may close what it opened */
        if (strcmp(broken[i], "") == 0) {
            ok(bad == ly_countof(places), "nothing: only as an empty list");
            continue;
        }

        ok(bad == 0, "%s is refused wherever it stands (%zu)", broken[i], bad);
    }

    for (i = 0; i < ly_countof(twice); i++) {
        ok(rule_input_event(in, rl_quoted(arena, twice[i])) != LY_OK,
           "%s is refused", twice[i]);
    }

    good = rl_quoted(arena, " {\t'x' :\r\n{ 'i' : 1 , 'l' : [ ] , 'r' : [ { } "
                     "] , 'o' : { } } } ");
    ok(rule_input_event(in, good) == LY_OK, "blanks are none");

    for (k = 0; k < 2; k++) {
        for (i = 0, bad = 0; i + 2 < good.len; i++) {
            bad += rule_input_event(in, rl_edge(ly_str_of(good.data, i)))
                   == LY_OK;
        }

        is_int(bad, 0, "cut anywhere it is refused, and no byte more read");

        /* every kind of value, in facts and where no fact is */
        good = rl_quoted(arena, "{'x':{'i':-12,'d':1.5e-1,'m':{'amount':5,'cur"
                         "rency':'GBP'},'s':'a\\u00e9\\n\\ud83d\\ude00',"
                         "'b':true,'t':null,'l':['a','b\\t'],'r':[{'a':1,'b':"
                         "false,'c':'abcdefghijk'}]},'o':[0,-1.25E+2,'\\/',tru"
                         "e,false,null,[],{},{'p':[1]}]} ");
        is_int(rule_input_event(in, rl_edge(good)), LY_OK, "a whole event");
    }

    ly_buf_init_arena(&b, arena, (size_t) 2 << 20);
    ly_buf_cstr(&b, "{}");

    while (b.len < RULE_INPUT_MAX) {
        ly_buf_byte(&b, ' ');
    }

    is_int(rule_input_event(in, ly_buf_view(&b)), LY_OK, "1 MiB");
    ly_buf_byte(&b, ' ');
    is_int(rule_input_event(in, ly_buf_view(&b)), LY_LIMIT, "a byte more");
    is_int(rule_input_state(in, ly_str("[")), LY_PARSE, "a state likewise");
}


/* 32 deep and no deeper, whatever the ways down are */
static void
deep(void)
{
    size_t         i, k, n, kind;
    ly_buf_t       b;
    rule_input_t  *in;

    static const struct {
        const char  *open, *close;
        size_t       depth;
    } ways[] = {
        { "{'a':", "}", 1 }, { "{'x':{'i':", "}}", 2 },
        { "{'x':{'l':[", "]}}", 3 }, { "{'x':{'m':{'z':", "}}}", 3 },
        { "{'x':{'r':[{'z':", "}]}}", 4 }, { "{'x':{'r':[{'l':", "}]}}", 4 }
    };

    if (rule_input_create(arena, cat, NULL, ly_str(""), &in) != LY_OK) {
        ok(false, "an input");
        return;
    }

    for (i = 0; i < ly_countof(ways); i++) {
        for (kind = 0; kind < 2; kind++) {
            for (n = 32; n <= 33; n++) {
                ly_buf_init_arena(&b, arena, 4096);
                ly_buf_cstr(&b, ways[i].open);

                for (k = ways[i].depth; k < n; k++) {
                    ly_buf_cstr(&b, kind == 0 ? "[" : "{'k':");
                }

                ly_buf_cstr(&b, kind == 0 ? "" : "1");

                for (k = ways[i].depth; k < n; k++) {
                    ly_buf_cstr(&b, kind == 0 ? "]" : "}");
                }

                ly_buf_cstr(&b, ways[i].close);
                ly_buf_byte(&b, '\0');
                is_int(rule_input_event(in, rl_quoted(
                                            arena, (const char *) b.data)),
                       n == 32 ? LY_OK : LY_LIMIT, ways[i].open);
            }
        }
    }
}


/* effects at their bounds */
typedef struct {
    const char  *effect;
    const char  *want;              /* points, or a code */
} effect_t;

#define RATE(p, per, of)                                                      \
    "{'type':'rate','wallet':'p','points':" p ",'per':{'amount':" per         \
    "},'of':" of
#define R(mode)  ",'rounding':'" mode "'}"

static const effect_t  effects[] = {
    { RATE("1", "1", "2.5") "}", "2" },
    { RATE("1", "1", "2.5") R("ceil"), "3" },
    { RATE("1", "1", "2.5") R("half_up"), "3" },
    { RATE("1", "1", "2.5") R("half_even"), "2" },
    { RATE("1", "1", "3.5") R("half_even"), "4" },
    { RATE("1", "1", "2.4") R("half_up"), "2" },
    { RATE("1", "1", "2.6") R("half_even"), "3" },
    { RATE("1", "1", "2.51") R("half_even"), "3" },
    { RATE("1", "1", "2.49") R("half_up"), "2" },
    { RATE("1", "3", "10") R("ceil"), "4" },
    { RATE("1", "3", "9") R("ceil"), "3" },
    { RATE("1", "1", "0") "}", "0" }, { RATE("1", "1", "-5") "}", "0" },
    { RATE("0", "1", "5") "}", "0" },
    { RATE("'0.000001'", "'0.0000001'", "1") "}", "10" },
    { RATE("1", "'0.0000000001'", "1") "}", "10000000000" },
    { RATE("1", "1", "9223372036854775807") "}", "9223372036854775807" },
    { RATE("1", "1", "9223372036854775808") "}", "number.overflow" },
    { RATE("1", "1", "9223372036854775807.5") R("half_up"),
      "number.overflow" },
    { RATE("1", "1", "99999999999999999999999999999999999999") "}",
      "number.overflow" },
    { RATE("10", "1", "99999999999999999999999999999999999999") "}",
      "number.overflow" },
    { RATE("1", "'0.000000000000000001'",
           "99999999999999999999999999999999999999") "}", "number.overflow" },
    { RATE("7", "9223372036854775808", "9223372036854775809") "}", "7" },
    { RATE("1", "'0.5'", "4611686018427387904") "}", "number.overflow" },
    { RATE("1", "'0.5'", "4611686018427387903.5") "}",
      "9223372036854775807" },
    { "{'type':'rate','wallet':'p','points':1,'per':{'amount':1},'of':'x.d'}",
      "0" },
    { "{'type':'rate','wallet':'p','points':1,'per':{'amount':1,'currency':'GB"
      "P'},'of':'x.m'}", "12" },
    { "{'type':'rate','wallet':'p','points':1,'per':{'amount':1,'currency':'EU"
      "R'},'of':'x.m'}", "currency.mismatch" },
    { "{'type':'rate','wallet':'p','points':1,'per':{'amount':1,'currency':'EU"
      "R'},'of':'x.e'}", "0" },
    { "{'type':'table','wallet':'p','of':'x.i','steps':[{'from':3,'points':1},"
      "{'from':5,'points':2},{'from':7,'points':3}]}", "2" },
    { "{'type':'table','wallet':'p','of':'x.d','steps':[{'from':0,'points':1}]"
      "}", "0" },
    { "{'type':'table','wallet':'p','of':{'-':[{'var':'x.i'},4]},'steps':[{'fr"
      "om':2,'points':9}]}", "0" },
    { "{'type':'fixed','wallet':'p','points':9223372036854775807}",
      "9223372036854775807" },
    { "{'type':'fixed','wallet':'p','points':9223372036854775807},{'type':'fix"
      "ed','wallet':'p','points':1}", "number.overflow" },
    { "{'type':'fixed','wallet':'p','points':9223372036854775806},{'type':'fix"
      "ed','wallet':'q','points':1}", "9223372036854775807" },
    { "{'type':'fixed','wallet':'p','points':4},{'type':'multiplier','wallet':"
      "'p','factor':'1.5'}", "6" },
    { "{'type':'fixed','wallet':'p','points':4},{'type':'multiplier','wallet':"
      "'q','factor':'1.5'}", "4" },
    { "{'type':'fixed','wallet':'p','points':5},{'type':'multiplier','wallet':"
      "'p','factor':'1.5','rounding':'ceil'}", "8" },
    { "{'type':'fixed','wallet':'p','points':5000000000000000000},{'type':'mul"
      "tiplier','wallet':'p','factor':3}", "number.overflow" },
};


static void
of_effects(void)
{
    bool             good;
    char             got[32];
    size_t           i;
    ly_buf_t         b;
    ly_arena_t      *a;
    rule_run_t       run;
    rule_input_t    *in;
    rule_result_t    r;
    rule_verify_t    v;
    rule_options_t   options;
    rule_program_t  *p;

    a = ly_arena_create((size_t) 16 << 20, NULL);

    for (i = 0; i < ly_countof(effects); i++) {
        ly_arena_reset(a);
        ly_buf_init_arena(&b, a, 1 << 16);
        ly_buf_cstr(&b, "{'trigger':{'event':'order.paid'},'effects':[");
        ly_buf_cstr(&b, effects[i].effect);
        ly_buf_cstr(&b, "]}");
        ly_buf_byte(&b, '\0');
        p = rl_compile(a, cat, rl_quoted(a, (const char *) b.data), 0);
        good = p != NULL
               && rule_input_create(a, cat, NULL, ly_str(""), &in) == LY_OK
               && rule_input_event(in, rl_quoted(a, "{'type':'order.paid','ord"
                                                 "er':{'currency':'GBP'},'x':{"
                                                 "'m':'12.5','i':5}}"))
               == LY_OK;
        memset(&run, 0, sizeof(run));
        memset(&options, 0, sizeof(options));
        options.trace = true;
        run.program = p;
        good = good && rule_evaluate(a, in, &run, 1, &options, &r) == LY_OK
               && rule_trace_verify(a, r.trace, p, cat, NULL, &v) == LY_OK
               && v.same;

        if (good) {
            (void) snprintf(got, sizeof(got), "%lld", (long long) r.points);
            is_str(r.outcome == RULE_ERROR ? ly_str_c(r.code) : ly_str_c(got),
                   ly_str_c(effects[i].want), effects[i].effect);
        } else {
            ok(false, "%s", effects[i].effect);
        }
    }

    ly_arena_destroy(a);
}


/* what callers may do wrong */
static void
callers(void)
{
    static rule_run_t     runs[RULE_RUNS_MAX + 1];
    static rule_result_t  results[RULE_RUNS_MAX + 1];

    size_t               i;
    rule_input_t        *in, *other;
    rule_counter_t       c;
    rule_options_t       options;
    rule_program_t      *p;
    rule_catalogue_t    *plain;
    rule_counter_need_t  need;

    p = rl_compile(arena, cat, rl_condition(arena, ly_str("true")), 0);

    if (p == NULL || rule_catalogue_default(arena, &plain) != LY_OK
        || rule_input_create(arena, cat, NULL, ly_str(""), &in) != LY_OK
        || rule_input_create(arena, plain, NULL, ly_str(""), &other) != LY_OK
        || rule_input_event(in, rl_quoted(arena, "{'type':'order.paid','order'"
                                          ":{'currency':'GBP'},'x':{'i':5,'s'"
                                          ":'a'}}")) != LY_OK
        || rule_input_event(other, ly_str("{\"type\":\"order.paid\"}"))
        != LY_OK)
    {
        ok(false, "two inputs");
        return;
    }

    for (i = 0; i <= RULE_RUNS_MAX; i++) {
        runs[i].program = p;
    }

    is_int(rule_evaluate(arena, in, runs, RULE_RUNS_MAX, NULL, results), LY_OK,
           "1000 rules");
    is_int(rule_evaluate(arena, in, runs, RULE_RUNS_MAX + 1, NULL, results),
           LY_LIMIT, "1001 rules");
    is_int(rule_evaluate(arena, other, runs, 1, NULL, results), LY_DENIED,
           "an input of another catalogue");
    memset(&options, 0, sizeof(options));
    options.steps = 1;
    is_int(rule_evaluate(arena, in, runs, 1, &options, results), LY_OK,
           "a budget of one step");
    options.steps = 2;
    runs[0].program = rl_compile(arena, cat, rl_condition(
                                     arena, rl_quoted(arena, I1)), 0);
    is_int(rule_evaluate(arena, in, runs, 1, &options, results), LY_OK,
           "a budget of two");
    ok(results[0].outcome == RULE_ERROR
       && strcmp(results[0].code, "steps.exhausted") == 0, "is used up");

    ok(rule_input_state(in, rl_quoted(arena, "{'member':{'cash':'5'}}"))
       == LY_OK, "a state with money");
    memset(&need, 0, sizeof(need));
    c.key = ly_str("k");
    c.value = ly_dec_int(1);
    need.event = ly_str("order.made");
    ok(rule_counters_advance(in, &need, &c, 1) == LY_OK && c.value.coef == 1,
       "another event does not count");
    need.event = ly_str("order.paid");
    need.fact = ly_str("x.s");
    ok(rule_counters_advance(in, &need, &c, 1) == LY_OK && c.value.coef == 1,
       "a text adds nothing");
    need.fact = ly_str("x.none");
    ok(rule_counters_advance(in, &need, &c, 1) == LY_OK && c.value.coef == 1,
       "nor does what is no fact");
    need.fact = ly_str("x.i");
    ok(rule_counters_advance(in, &need, &c, 1) == LY_OK && c.value.coef == 6,
       "a number does");
    ok(rule_counters_advance(in, &need, &c, 0) == LY_OK && c.value.coef == 6,
       "but to no counter");
    c.value.coef = (ly_int128_t) 10000000000000000000ULL
                   * (ly_int128_t) 10000000000000000000ULL - 1;
    is_int(rule_counters_advance(in, &need, &c, 1), LY_OVERFLOW, "too much");
    is_int(rule_input_int(in, ly_str("x.none"), 1), LY_NOTFOUND, "no fact");
    ok(rule_input_event(in, rl_quoted(arena, "{'refund':{'lines':[{'line_id':'"
                                      "1','quantity':1,'unit_price':'2'}],'cur"
                                      "rency':'GBP'}}")) == LY_OK
       && rule_input_lines(in) == 1, "a refund's lines");
    is_int(rule_counters_advance(in, &need, &c, 1), LY_OK,
           "no type, no event");
}


int
main(void)
{
    rule_faults_t  f;

    arena = ly_arena_create((size_t) 256 << 20, NULL);

    if (arena == NULL || rule_catalogue_parse(arena, rl_quoted(arena, facts),
                                              &cat, &f) != LY_OK)
    {
        return 1;
    }

    of_types();
    malformed();
    deep();
    of_effects();
    callers();
    ly_arena_destroy(arena);

    return tap_done();
}
